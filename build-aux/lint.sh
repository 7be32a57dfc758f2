#!/bin/sh
# usage: lint.sh SRCDIR    what static analysis says, with the tools there are
set -u
cd "${1:-.}" || exit 1
bad=0

have() {
	command -v "$1" >/dev/null || {
		echo "lint: no $1 here"
		return 1
	}
}

if have shellcheck; then
	shellcheck -s sh -x bootstrap .ci/run build-aux/embed.sh build-aux/page-head.sh \
	    build-aux/install-packages.sh build-aux/fuzz.sh \
	    build-aux/lint.sh || bad=1
fi
if have cppcheck; then
	cppcheck -q --std=c11 --enable=warning,portability,performance \
	    --suppress=missingIncludeSystem --suppress=ctuuninitvar \
	    '-Djson_array_foreach(a,i,v)=for(i=0;(v=json_array_get(a,i));i++)' \
	    '-Djson_object_foreach(o,k,v)=for(k="";(v=json_object_get(o,k));)' \
	    --error-exitcode=1 -I . fcgi lib || bad=1
fi
if have mandoc; then
	for page in fcgi/*.[1-9]; do
		[ ! -f "$page" ] || mandoc -T lint -W warning "$page" || bad=1
	done
fi
exit "$bad"
