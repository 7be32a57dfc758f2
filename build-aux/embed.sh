#!/bin/sh
# usage: embed.sh [--testpoints] FILE... >adapters.c
#        embed.sh --examples FILE... >carried.c
# Lines of Python that begin with #@ are for a build with test points. Examples
# keep their path below examples/ as their name.
set -eu
points='/^ *#@ /d'
table=adapters
prefix='*/'
case $1 in
--testpoints)
	points='s/^\( *\)#@ /\1/'
	shift
	;;
--examples)
	table=examples
	prefix=examples/
	shift
	;;
esac
text() {
	case $1 in
	*.py) sed "$points" "$1" ;;
	*) cat "$1" ;;
	esac
}
printf '/* Made by embed.sh; do not edit. */\n'
printf '#include "config.h"\n#include "lib/carried.h"\n'
i=0
for file; do
	printf '\nstatic const unsigned char text_%d[] = {\n' "$i"
	text "$file" | od -An -v -tx1 |
	    sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g; s/^/\t/'
	printf '\t0x00\n};\n'
	i=$((i + 1))
done
printf '\nconst struct carried %s[] = {\n' "$table"
i=0
for file; do
	# shellcheck disable=SC2295 # a pattern
	printf '\t{ "%s", text_%d, sizeof text_%d - 1 },\n' \
	    "${file##$prefix}" "$i" "$i"
	i=$((i + 1))
done
printf '\t{ 0 }\n};\n'
