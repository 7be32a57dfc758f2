#!/bin/sh
# Every input of every corpus goes through its fuzz target, so that what once
# hurt stays harmless. `make fuzz` searches for more.
: "${srcdir:=.}" "${builddir:=.}"
set -- "$srcdir"/t/fuzz/corpus/*
echo 1..$((2 * $#))
count=0

say() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "replay.out.$$"
	fi
}

for corpus; do
	name=${corpus##*/}
	"$builddir/t/fuzz/replay_$name" "$corpus"/* >"replay.out.$$" 2>&1
	say $? "$name: every input keeps its promises"
	wanted=0
	for input in "$corpus"/*; do
		[ -f "$input" ] && wanted=$((wanted + 1))
	done
	[ "$wanted" -gt 0 ] && [ "$(grep -c '^ok ' "replay.out.$$")" = "$wanted" ]
	say $? "$name: all $wanted inputs were replayed"
done
rm -f "replay.out.$$"
