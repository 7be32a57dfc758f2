#!/bin/sh
# A module includes only modules that stand before it in FLOORS.
: "${srcdir:=.}"
echo 1..4
count=0

it() {
	count=$((count + 1))
	title=$1
	shift
	if out=$("$@" 2>&1); then
		echo "ok $count - $title"
	else
		echo "not ok $count - $title"
		printf '%s\n' "$out" | sed 's/^/# /'
	fi
}

# Which of the files include what stands above them: FLOORS FILE...
looks_up() {
	awk 'FILENAME ~ /FLOORS$/ {
		if ($1 !~ /^#/)
			for (i = 2; i <= NF; i++)
				rank[$i] = ++n
		next
	}
	/^#[ \t]*include[ \t]*"(lib|fcgi|t)\// {
		me = FILENAME
		sub(/.*\//, "", me)
		sub(/\..*/, "", me)
		it = $0
		sub(/^[^"]*"/, "", it)
		sub(/".*/, "", it)
		sub(/.*\//, "", it)
		sub(/\..*/, "", it)
		if (!(me in rank) || !(it in rank) || rank[it] > rank[me]) {
			print FILENAME ":" FNR ": " me " looks up to " it
			bad = 1
		}
	}
	END { exit bad }' "$@"
}

# Whoever has a file has a floor, and the other way round.
listed() {
	for file in "$srcdir"/lib/*.[ch] "$srcdir"/fcgi/*.[ch]; do
		file=${file##*/}
		printf '%s\n' "${file%.*}"
	done | sort -u >floors.files.$$
	awk '!/^#/ { for (i = 2; i <= NF; i++) print $i }' \
	    "$srcdir/FLOORS" | sort >floors.listed.$$
	diff floors.files.$$ floors.listed.$$
	status=$?
	rm -f floors.files.$$ floors.listed.$$
	return $status
}

once() {
	twice=$(awk '!/^#/ { for (i = 2; i <= NF; i++) print $i }' \
	    "$srcdir/FLOORS" | sort | uniq -d)
	echo "$twice"
	[ -z "$twice" ]
}

# The test itself is able to fail.
notices() {
	mkdir floors.try.$$ &&
	    printf 'words low\nroles high\n' >floors.try.$$/FLOORS &&
	    printf '#include "lib/high.h"\n' >floors.try.$$/low.c &&
	    printf '#include "lib/low.h"\n' >floors.try.$$/high.c
	up=$(looks_up floors.try.$$/FLOORS floors.try.$$/low.c \
	    floors.try.$$/high.c)
	rm -rf floors.try.$$
	[ "$up" = "floors.try.$$/low.c:1: low looks up to high" ]
}

it 'notices a module that looks up' notices
it 'names every module exactly once' once
it 'names the modules that are there' listed
it 'no module looks up' looks_up "$srcdir/FLOORS" "$srcdir"/lib/*.[ch] \
    "$srcdir"/fcgi/*.[ch]
