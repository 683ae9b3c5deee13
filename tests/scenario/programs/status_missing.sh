"$1" -- /nonexistent/program
