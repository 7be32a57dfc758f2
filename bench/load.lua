-- What wrk sends, and the line of JSON that it prints in the end.
--     BENCH_POST=N   a body of N bytes is posted
--     BENCH_APPS=N   /app00 to /appN-1 in turn, before the path
local post = tonumber(os.getenv("BENCH_POST") or "0")
local apps = tonumber(os.getenv("BENCH_APPS") or "0")
if post > 0 then
	wrk.method = "POST"
	wrk.body = string.rep("x", post)
	wrk.headers["Content-Type"] = "application/octet-stream"
end
if apps > 0 then
	local requests, turn = {}, 0
	function init()
		for i = 0, apps - 1 do
			requests[i] = wrk.format("GET",
			    string.format("/app%02d%s", i, wrk.path))
		end
	end
	function request()
		turn = (turn + 1) % apps
		return requests[turn]
	end
end
function done(sum, latency)
	local wrong = sum.errors
	io.write(string.format('BENCH {"requests": %d, "bytes": %d, ' ..
	    '"seconds": %f, "p50": %d, "p99": %d, "max": %d, ' ..
	    '"connect": %d, "read": %d, "write": %d, "status": %d, ' ..
	    '"timeout": %d}\n', sum.requests, sum.bytes, sum.duration / 1e6,
	    latency:percentile(50), latency:percentile(99), latency.max,
	    wrong.connect, wrong.read, wrong.write, wrong.status,
	    wrong.timeout))
end
