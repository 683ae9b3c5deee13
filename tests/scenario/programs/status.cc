// The exit status is the program's.
// status: 42
int main() { return 42; }
