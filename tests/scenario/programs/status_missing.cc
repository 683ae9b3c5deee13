// No such program: 127, and the name.
// status: 127
// stderr: /nonexistent/program: No such file or directory
int main() { return 0; }
