"$1" -- /etc/passwd
