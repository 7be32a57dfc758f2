# What "mamayo install --server SERVER" writes to ~/mamayo/for-root.sh, with the
# names of the account and of the server in it. On Debian.

set -eu
umask 022
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

command -v @PROGRAM@ >/dev/null || apt-get install -y @PACKAGE@

# Only the web server and alice may enter the socket's directory.
install -d -o alice -g www-data -m 0750 /srv/alice

# What listens there, from now on and after a reboot.
if [ -d /run/systemd/system ]; then
	loginctl enable-linger alice
	XDG_RUNTIME_DIR=/run/user/$(id -u alice)
	export XDG_RUNTIME_DIR
	systemctl start "user@${XDG_RUNTIME_DIR##*/}.service"
	runuser -u alice -- systemctl --user daemon-reload
	runuser -u alice -- systemctl --user enable --now mamayo.socket
else
	command -v crontab >/dev/null ||
	    apt-get install -y --no-install-recommends cron # no mail server
	crontab -u alice -l 2>/dev/null | grep -qF "unix:/srv/alice/" || {
		crontab -u alice -l 2>/dev/null || :
		cat <<'END'
@CRONTAB@
END
	} | crontab -u alice - ||
	    echo "crontab refuses: nobody starts mamayo after a reboot." >&2
	# Where one listens already, this one leaves.
	runuser -u alice -- setsid sh >/dev/null 2>&1 <<'END' &
@LISTEN@ </dev/null
END
fi

# The web server.
if [ -e @FILE@ ]; then
	echo "@FILE@ is there already, and stays as it is."
else
	cat >@FILE@ <<'END'
@CONFIGURATION@
END
fi
@ENABLE@
service @PACKAGE@ restart
