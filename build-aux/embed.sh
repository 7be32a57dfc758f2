#!/bin/sh
# usage: embed.sh FILE... >adapters.c
set -eu
printf '/* Made by embed.sh from adapters/; do not edit. */\n'
printf '#include "config.h"\n#include "lib/adapters.h"\n'
i=0
for file; do
	printf '\nstatic const unsigned char text_%d[] = {\n' "$i"
	od -An -v -tx1 "$file" | sed 's/ *\([0-9a-f][0-9a-f]\)/0x\1,/g; s/^/\t/'
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
