"""mamayo: how every page of ours looks. build-aux/page-head.sh makes a header
for C of it, so that there is one look."""

HEAD = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2125;
--soft: #59616a; --box: #f1f3f5 }
@media (prefers-color-scheme: dark) { :root { --paper: #16191d;
--ink: #e6e9ec; --soft: #a4adb7; --box: #22272d } }
body { margin: 0; padding: 12vh 1.25rem 2rem; background: var(--paper);
color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 38rem; margin: 0 auto; overflow-wrap: anywhere }
h1 { margin: 0 0 .75rem; font-size: 1.6rem; line-height: 1.25 }
p { margin: 0 0 1rem }
.soft { color: var(--soft); font-size: .875rem }
code, pre { background: var(--box); font: .875em/1.45 ui-monospace, monospace }
code { padding: .1em .3em; border-radius: .2em }
pre { padding: 1rem; white-space: pre-wrap }
</style>
"""
