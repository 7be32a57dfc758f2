#!/bin/sh
# The layout of the C files, and words that do not occur in them.
: "${srcdir:=.}"
echo 1..8
count=0

it() {
	count=$((count + 1))
	title=$1
	shift
	if out=$("$@" 2>&1); then
		echo "ok $count - $title"
	else
		echo "not ok $count - $title"
		printf '%s\n' "$out" | sed 's/^/# /' | head -n 60
	fi
}

# No line of the files matches: none REGEX FILE...
none() {
	pattern=$1
	shift
	! grep -nE "$pattern" "$@" /dev/null
}

ours="$srcdir/lib/*.[ch] $srcdir/fcgi/*.[ch] $srcdir/adapters/accel*.[ch]"
all="$ours $srcdir/t/*.[ch] $srcdir/t/fuzz/*.[ch]"
word='(^|[^A-Za-z0-9_])'
unsafe="$word(sprintf|vsprintf|strcpy|strcat|gets|alloca|select|FCGX_OpenSocket) *\\("

# What needs no bound, and what fd_set cannot hold.
notices_unsafe() {
	for name in sprintf strcpy strcat gets alloca select FCGX_OpenSocket; do
		echo "	$name(x);" | grep -qE "$unsafe" || return 1
	done
	! echo 'snprintf(x); fgets(y); my_select(z); selected(w)' |
	    grep -qE "$unsafe"
}

processes() {
	files=
	for file in $ours; do
		[ "${file##*/}" = proc.c ] || files="$files $file"
	done
	# shellcheck disable=SC2086 # one word per file
	none "$word(v?fork|waitpid|wait|wait3|wait4|waitid|kill|killpg) *\\(" \
	    $files
}

# Names of places outside the project, whoever would like to have them.
places() {
	(cd "$srcdir" && none '/(work|root)/|/home/[a-z]+/(src|work)' \
	    lib/*.[ch] fcgi/*.[ch] adapters/*.py adapters/accel*.[ch] \
	    t/*.[ch] t/*.py t/*.t \
	    Makefile.am configure.ac build-aux/*.sh examples/*) |
	    grep -v 't/0030-style\.t:' >style.places.$$
	cat style.places.$$
	! [ -s style.places.$$ ]
	status=$?
	rm -f style.places.$$
	return $status
}

it 'notices what is unsafe' notices_unsafe
# shellcheck disable=SC2086 # one word per file
it 'nothing that is shipped writes or reads without a bound' \
    none "$unsafe" $ours
# shellcheck disable=SC2086 # one word per file
it 'owner and mode of a file are changed by descriptor' \
    none "$word(chmod|lchmod|chown|lchown|fchmodat|fchownat) *\\(" $ours
it 'only proc forks, waits and kills' processes
# shellcheck disable=SC2086 # one word per file
it 'every C file includes config.h first' sh -c '
	for file; do
		first=$(grep -m 1 "^#include" "$file")
		[ "$first" = "#include \"config.h\"" ] ||
		    { echo "$file: $first"; bad=1; }
	done
	[ -z "${bad:-}" ]' sh "$srcdir"/lib/*.c "$srcdir"/fcgi/*.c \
    "$srcdir"/adapters/accel*.c \
    "$srcdir"/t/*.c "$srcdir"/t/fuzz/*.c
# shellcheck disable=SC2086 # one word per file
it 'no line ends in white space' none '[ 	]$' $all
it 'nothing names a place outside the project' places

if command -v clang-format >/dev/null; then
	# shellcheck disable=SC2086 # one word per file
	it 'the formatter would change nothing' \
	    clang-format --dry-run -Werror $all
else
	echo 'ok 8 - the formatter would change nothing # SKIP no clang-format'
fi
