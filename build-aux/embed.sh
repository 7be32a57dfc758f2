#!/bin/sh
# usage: embed.sh [--testpoints] FILE... >adapters.c
# Lines of Python that begin with #@ are for a build with test points.
set -eu
points='/^ *#@ /d'
if [ "$1" = --testpoints ]; then
	points='s/^\( *\)#@ /\1/'
	shift
fi
text() {
	case $1 in
	*.py) sed "$points" "$1" ;;
	*) cat "$1" ;;
	esac
}
printf '/* Made by embed.sh from adapters/; do not edit. */\n'
printf '#include "config.h"\n#include "lib/adapters.h"\n'
i=0
for file; do
	printf '\nstatic const unsigned char text_%d[] = {\n' "$i"
	text "$file" | od -An -v -tx1 |
	    sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g; s/^/\t/'
	printf '\t0x00\n};\n'
	i=$((i + 1))
done
printf '\nconst struct adapter adapters[] = {\n'
i=0
for file; do
	printf '\t{ "%s", text_%d, sizeof text_%d - 1 },\n' "${file##*/}" "$i" "$i"
	i=$((i + 1))
done
printf '\t{ 0 }\n};\n'
