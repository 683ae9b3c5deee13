// A compiler may call these for copies that the source spells otherwise (GCC's manual,
// section Standards). g++ does not here; clang does.

extern "C" void* memset(void* to, int byte, unsigned long count) {
  auto* const bytes = static_cast<volatile unsigned char*>(to);
  for (unsigned long i = 0; i < count; ++i) bytes[i] = static_cast<unsigned char>(byte);
  return to;
}

extern "C" void* memcpy(void* to, const void* from, unsigned long count) {
  auto* const bytes = static_cast<volatile unsigned char*>(to);
  const auto* const source = static_cast<const unsigned char*>(from);
  for (unsigned long i = 0; i < count; ++i) bytes[i] = source[i];
  return to;
}
