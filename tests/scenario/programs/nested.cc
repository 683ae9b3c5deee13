// A second supervisor inside the first is refused by the kernel, and says so.
// status: 125
// stderr: already runs under `teeio run`
int main() { return 0; }
