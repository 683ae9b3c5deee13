// Where too few descriptors can be had nothing is started, instead of a run without an end.
// status: 125
// stderr: too few file descriptors are free
int main() { return 3; }
