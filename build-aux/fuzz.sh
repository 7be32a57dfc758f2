#!/bin/sh
# usage: fuzz.sh needs                        is there what it takes?
#        fuzz.sh run SRCDIR RUNS [TARGET]...  searches, one target after the
#                                             other; all without TARGET
# `make fuzz` builds the targets in _fuzz/build and calls this. Each writes what
# it has learnt to _fuzz/new/TARGET, where it goes on the next time, and what it
# has found to _fuzz/found; that belongs in t/fuzz/corpus with the fix.
set -u

longest=512 # bytes of an input: what is longer than that is in the corpora

needs() {
	cd "$(mktemp -d)" || exit 1
	trap 'rm -rf "$PWD"' EXIT
	echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' >try.c
	if ! command -v clang >/dev/null; then
		echo 'make fuzz: there is no clang here. On Debian:' >&2
		echo '    apt-get install clang' >&2
		exit 1
	fi
	if ! clang -fsanitize=fuzzer,address,undefined -o try try.c 2>why; then
		cat why >&2
		echo 'make fuzz: clang has no libFuzzer or no sanitizers here.' \
		    'On Debian: apt-get install clang' >&2
		exit 1
	fi
}

# Runs of a log, for what a target that has found something does not sum up.
count_runs() {
	sed -n -e 's/^stat::number_of_executed_units: *//p' \
	    -e 's/^#\([0-9]*\).*/\1/p' "$1" | tail -n 1
}

search() {
	# files that a target writes are not for a disk
	[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
	# most of the time would be its own
	export ASAN_OPTIONS="malloc_context_size=2:quarantine_size_mb=8"
	target=$1 log=_fuzz/new/$1.log began=$(date +%s)
	mkdir -p "_fuzz/new/$target" _fuzz/found
	echo "== $target"
	{
		"_fuzz/build/t/fuzz/fuzz_$target" -runs="$runs" -timeout=20 \
		    -rss_limit_mb=1024 -malloc_limit_mb=64 \
		    -max_len=$longest -print_final_stats=1 -artifact_prefix="_fuzz/found/$target-" \
		    "_fuzz/new/$target" "$srcdir/t/fuzz/corpus/$target" 2>&1
		echo $? >"$log.status"
	} | tee "$log" | grep -aE --line-buffered \
	    ' (pulse|DONE) |^==|^SUMMARY|Test unit written|runtime error'
	found=0
	[ "$(cat "$log.status")" = 0 ] || found=1
	rm -f "$log.status"
	[ "$found" = 0 ] || bad=1
	sum="$sum$(printf '%-12s %12s runs %6s s %3s found' "$target" \
	    "$(count_runs "$log")" $(($(date +%s) - began)) "$found")
"
}

case ${1-} in
needs)
	needs
	;;
run)
	srcdir=$2 runs=$3 bad=0 sum=
	shift 3
	if [ $# = 0 ]; then
		for corpus in "$srcdir"/t/fuzz/corpus/*; do
			set -- "$@" "${corpus##*/}"
		done
	fi
	trap 'printf "%s" "$sum"; exit 130' INT TERM
	for target; do
		search "$target"
	done
	printf '\n%s' "$sum"
	[ "$bad" = 0 ] || echo 'what was found is in _fuzz/found'
	exit "$bad"
	;;
*)
	sed -n 's/^# usage/usage/p' "$0" >&2
	exit 2
	;;
esac
