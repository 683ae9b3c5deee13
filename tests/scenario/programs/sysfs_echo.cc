// sh's redirections: the write itself brings the machine's errno.
// stderr: Device or resource busy
// /bin/echo tsm0 > $c && ! echo tsm9 > $c 2>/dev/null && test "$(cat < $c)" = tsm0 && test "$(cat
// $c)" = tsm0 && ls ${c%/*} | grep -q disconnect'
int main() { return 0; }
