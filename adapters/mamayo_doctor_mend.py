"""mamayo doctor: what to write where, for each web server.

A remedy is the lines to copy, where they go, and whether only the host can do
that. HTACCESS is a place that every user of Apache has.
"""
HTACCESS = ".htaccess, beside mamayo.fcgi"
CONFIGURATION = {
    "fcgid": "Apache's configuration (the virtual host)",
    "proxy": "Apache's configuration (where it is told about mamayo)",
    "nginx": "nginx's configuration (the location of mamayo)",
    "lighttpd": "lighttpd's configuration",
    "other": "the web server's configuration",
}
PLACES = {("query", "lighttpd"): "lighttpd's configuration (in its "
          "server.http-parseopts)",
          ("host", "nginx"): "/etc/nginx/fastcgi_params, instead of the line "
          "with HTTP_HOST",
          ("https", "nginx"): "nginx's configuration (the first line outside "
          "of \"server\", the other where mamayo is)"}
NAMES = {"fcgid": "Apache with mod_fcgid", "proxy": "Apache with "
         "mod_proxy_fcgi", "nginx": "nginx", "lighttpd": "lighttpd",
         "other": "a web server that is not known here"}

# What is wrong: {web server: (lines, in .htaccess?)}
REMEDIES = {
    "reach": {
        "fcgid": (["Options +ExecCGI", "AddHandler fcgid-script .fcgi",
                   "FallbackResource @BASE@/mamayo.fcgi"], True),
        "proxy": (['<Location "@BASE@/">',
                   '  ProxyPass "unix:SOCKET|fcgi://mamayo/"',
                   "</Location>"], False),
        "nginx": (["location @BASE@/ {", "  include fastcgi_params;",
                   "  fastcgi_pass unix:SOCKET;", "}"], False),
        "lighttpd": (['fastcgi.server = ( "@BASE@/" => ((',
                      '  "bin-path" => "@ROOT@/mamayo.fcgi",',
                      '  "check-local" => "disable" )) )'], False),
    },
    "authorization": {
        "fcgid": (["CGIPassAuth On",
                   'SetEnvIf Authorization "(.+)" HTTP_AUTHORIZATION=$1'],
                  True),
        "proxy": (["CGIPassAuth On"], False),
        "nginx": (["fastcgi_param HTTP_AUTHORIZATION $http_authorization;"],
                  False),
    },
    "path": {
        "fcgid": (["RewriteRule ^ mamayo.fcgi [L]"], True),
        "proxy": (['ProxyPass "unix:SOCKET|fcgi://mamayo/"'], False),
        "nginx": (["fastcgi_param REQUEST_URI $request_uri;"], False),
        "lighttpd": (['"check-local" => "disable",',
                      '"fix-root-scriptname" => "enable"'], False),
    },
    "query": {
        "fcgid": (["RewriteRule ^ mamayo.fcgi [L]"], True),
        "nginx": (["fastcgi_param QUERY_STRING $query_string;"], False),
        "lighttpd": (['"url-normalize-required" => "disable",'], False),
    },
    "slash": {
        "fcgid": (["AllowEncodedSlashes NoDecode"], False),
        "proxy": (["AllowEncodedSlashes NoDecode"], False),
    },
    "upload": {
        "fcgid": (["FcgidMaxRequestLen 67108864"], False),
        "proxy": (["LimitRequestBody 67108864"], False),
        "nginx": (["client_max_body_size 64m;"], False),
        "lighttpd": (["server.max-request-size = 65536"], False),
    },
    "too-large": {
        "fcgid": (["LimitRequestBody 67108864"], True),
    },
    "streaming": {
        "fcgid": (["FcgidOutputBufferSize 0"], False),
        "proxy": (['ProxyPass "unix:SOCKET|fcgi://mamayo/" flushpackets=on'],
                  False),
        "nginx": (["fastcgi_buffering off;"], False),
        "lighttpd": (["server.stream-response-body = 2"], False),
    },
    "silence": {
        "fcgid": (["FcgidIOTimeout 3600", "FcgidBusyTimeout 3600"], False),
        "proxy": (["ProxyTimeout 3600"], False),
        "nginx": (["fastcgi_read_timeout 3600s;",
                   "fastcgi_send_timeout 3600s;"], False),
        "lighttpd": (["server.max-read-idle = 3600",
                      "server.max-write-idle = 3600"], False),
    },
    "errors": {
        "fcgid": (["ProxyErrorOverride Off"], False),
        "proxy": (["ProxyErrorOverride Off"], False),
        "nginx": (["fastcgi_intercept_errors off;"], False),
        "lighttpd": (['server.error-intercept = "disable"'], False),
    },
    "headers": {
        "nginx": (["fastcgi_buffer_size 32k;", "fastcgi_buffers 8 32k;"],
                  False),
    },
    "host": {
        "nginx": (["fastcgi_param HTTP_HOST $host:$server_port;"], False),
        "fcgid": (["ProxyPreserveHost On"], False),
        "proxy": (["ProxyPreserveHost On"], False),
    },
    "sendfile": {
        "nginx": (["location /.mamayo/ {", "  internal;",
                   "  alias @ROOT@/apps/;", "}"], False),
        "lighttpd": (['"x-sendfile" => "enable",',
                      '"x-sendfile-docroot" => ( "@ROOT@/apps" ),'], False),
    },
    "visitor": {
        "fcgid": (["RemoteIPHeader X-Forwarded-For",
                   "RemoteIPInternalProxy @PROXY@"], False),
        "proxy": (["RemoteIPHeader X-Forwarded-For",
                   "RemoteIPInternalProxy @PROXY@"], False),
        "nginx": (["set_real_ip_from @PROXY@;",
                   "real_ip_header X-Forwarded-For;"], False),
        "lighttpd": (['server.modules += ( "mod_extforward" )',
                      'extforward.forwarder = ( "@PROXY@" => "trust" )'],
                     False),
    },
    "https": {
        "fcgid": (["SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on"], True),
        "proxy": (["SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on"], True),
        "nginx": (["map $http_x_forwarded_proto $mamayo_https { https on; }",
                   "fastcgi_param HTTPS $mamayo_https if_not_empty;"], False),
        "lighttpd": (['server.modules += ( "mod_extforward" )',
                      'extforward.forwarder = ( "@PROXY@" => "trust" )'],
                     False),
    },
}


def remedy(what, kind, words):
    """(where it goes, lines, a sentence for the host or ""). words: what
    stands for @WORDS@."""
    lines, is_ours = REMEDIES[what].get(kind, ([], False))
    for word, value in words.items():
        lines = [line.replace("@%s@" % word, value) for line in lines]
    where = HTACCESS if is_ours else PLACES.get(
        (what, kind), CONFIGURATION[kind])
    if is_ours or not lines:
        return where, lines, ""
    return where, lines, "Please write this into %s for %s: %s" % (
        where, words["SITE"], " ".join(line.strip() for line in lines))
