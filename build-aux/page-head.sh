#!/bin/sh
# usage: page-head.sh mamayo_page.py >page_head.h
set -eu
printf '/* Made by page-head.sh from %s; do not edit. */\n' "${1##*/}"
printf 'static const char page_head[] =\n'
sed -n '/^HEAD = """\\$/,/^"""$/p' "$1" | sed '1d;$d' |
    sed 's/[\\"]/\\&/g; s/^/\t"/; s/$/\\n"/'
printf '\t;\n'
