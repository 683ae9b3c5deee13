// Not executable: 126.
// status: 126
// stderr: /etc/passwd: Permission denied
int main() { return 0; }
