#!/bin/sh
# usage: install-packages.sh PACKAGE...
#
# Run by `bootstrap`, as root: one apt-get for all packages, and no service of
# theirs is started or left enabled. Debian's packages ask
# /usr/sbin/policy-rc.d before they start anything; for the length of this call
# it says no. What they enable is disabled again.
set -eu
umask 022
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND

policy=/usr/sbin/policy-rc.d
saved=$policy.before-mamayo
mark='put here by the bootstrap of mamayo, for the length of an apt-get'
before=

exists() { [ -e "$1" ] || [ -L "$1" ]; }

restore_policy() {
	if exists "$saved"; then
		mv -f "$saved" "$policy"
	elif grep -qsF "$mark" "$policy"; then
		rm -f "$policy"
	fi
	rm -f "$policy.mamayo"
}

forbid_starting() {
	! exists "$policy" || cp -pP "$policy" "$saved"
	# Says no while one of us holds the lock: if we are killed, what stays
	# behind does no harm.
	cat >"$policy.mamayo" <<-END
	#!/bin/sh
	# $mark
	flock -n /usr/sbin true || exit 101
	[ ! -x $saved ] || exec $saved "\$@"
	END
	chmod 755 "$policy.mamayo"
	mv -f "$policy.mamayo" "$policy"
}

# The links by which systemd and sysvinit know what to start.
enabled() {
	find /etc/systemd/system /etc/systemd/user -type l 2>/dev/null || :
	find /etc/rc[S2345].d -name 'S*' 2>/dev/null || :
}

disable_new() {
	news=$(enabled | grep -vxF -e "$before") || return 0
	for link in $news; do
		case $link in
		/etc/rc*)
			name=${link##*/S[0-9][0-9]}
			! exists "$link" || update-rc.d "$name" disable || :
			;;
		*) rm -f "$link" ;;
		esac
	done
	[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
}

finish() {
	status=$?
	trap '' HUP INT TERM
	disable_new
	restore_policy
	exit "$status"
}

get() {
	apt-get -q -y -o DPkg::Lock::Timeout=600 \
	    -o Dpkg::Options::=--force-confdef \
	    -o Dpkg::Options::=--force-confold \
	    --no-install-recommends "$@" </dev/null
}

# One at a time: two would put each other's policy back.
exec 9</usr/sbin
flock 9
restore_policy # of a call that was killed
before=$(enabled)
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
forbid_starting

fresh=no
get -s install "$@" >/dev/null 2>&1 || {
	get update
	fresh=yes
}
get install "$@" || {
	[ "$fresh" = no ] || exit 1
	echo 'bootstrap: trying once more, with fresh package lists' >&2
	get update
	get install "$@"
}
