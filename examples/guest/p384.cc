#include "p384.h"

namespace p384 {
namespace {

__extension__ typedef unsigned __int128 Wide;  // which -Wpedantic would not have
constexpr unsigned kWords = 6;

// Little-endian words.
struct Number {
  std::uint64_t w[kWords];
};

// FIPS 186-5 and SP 800-186, 3.2.1.4.
constexpr Number kPrime = {{0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe,
                            0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff}};
constexpr Number kOrder = {{0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf,
                            0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff}};
constexpr Number kB = {{0x2a85c8edd3ec2aef, 0xc656398d8a2ed19d, 0x0314088f5013875a,
                        0x181d9c6efe814112, 0x988e056be3f82d19, 0xb3312fa7e23ee7e4}};
constexpr Number kBaseX = {{0x3a545e3872760ab7, 0x5502f25dbf55296c, 0x59f741e082542a38,
                            0x6e1d3b628ba79b98, 0x8eb1c71ef320ad74, 0xaa87ca22be8b0537}};
constexpr Number kBaseY = {{0x7a431d7c90ea0e5f, 0x0a60b1ce1d7e819d, 0xe9da3113b5f0b8c0,
                            0xf8f41dbd289a147c, 0x5d9e98bf9292dc29, 0x3617de4a96262c6f}};

bool is_zero(const Number& a) {
  std::uint64_t all = 0;
  for (const std::uint64_t word : a.w) all |= word;
  return all == 0;
}
bool less(const Number& a, const Number& b) {
  for (unsigned i = kWords; i-- > 0;)
    if (a.w[i] != b.w[i]) return a.w[i] < b.w[i];
  return false;
}
bool equal(const Number& a, const Number& b) { return !less(a, b) && !less(b, a); }

// Gives the carry.
std::uint64_t add(Number& a, const Number& b) {
  Wide carry = 0;
  for (unsigned i = 0; i < kWords; ++i) {
    carry += Wide{a.w[i]} + b.w[i];
    a.w[i] = static_cast<std::uint64_t>(carry);
    carry >>= 64;
  }
  return static_cast<std::uint64_t>(carry);
}
void subtract(Number& a, const Number& b) {
  std::uint64_t borrow = 0;
  for (unsigned i = 0; i < kWords; ++i) {
    const Wide difference = Wide{a.w[i]} - b.w[i] - borrow;
    a.w[i] = static_cast<std::uint64_t>(difference);
    borrow = static_cast<std::uint64_t>(difference >> 64) & 1;
  }
}

// Arithmetic modulo an odd number, in Montgomery's form: a stands for a * 2^-384.
class Field {
 public:
  explicit Field(const Number& modulus) : modulus_(modulus), inverse_(1), square_() {
    for (unsigned i = 0; i < 6; ++i) inverse_ *= 2 - modulus.w[0] * inverse_;
    inverse_ = 0 - inverse_;
    square_.w[0] = 1;
    for (unsigned i = 0; i < 2 * 64 * kWords; ++i) square_ = sum(square_, square_);
  }
  Number sum(Number a, const Number& b) const {
    if (add(a, b) != 0 || !less(a, modulus_)) subtract(a, modulus_);
    return a;
  }
  Number difference(Number a, const Number& b) const {
    if (less(a, b)) add(a, modulus_);
    subtract(a, b);
    return a;
  }
  Number product(const Number& a, const Number& b) const {
    std::uint64_t t[kWords + 2] = {};
    for (unsigned i = 0; i < kWords; ++i) {
      accumulate(t, b, a.w[i]);
      accumulate(t, modulus_, t[0] * inverse_);
      for (unsigned j = 0; j <= kWords; ++j) t[j] = t[j + 1];
      t[kWords + 1] = 0;
    }
    Number out{};
    for (unsigned i = 0; i < kWords; ++i) out.w[i] = t[i];
    if (t[kWords] != 0 || !less(out, modulus_)) subtract(out, modulus_);
    return out;
  }
  Number enter(const Number& a) const { return product(a, square_); }
  Number leave(const Number& a) const { return product(a, Number{{1}}); }
  // Fermat: a^(modulus - 2).
  Number inverse(const Number& a) const {
    Number exponent = modulus_;
    exponent.w[0] -= 2;
    Number out = enter(Number{{1}});
    for (unsigned i = 64 * kWords; i-- > 0;) {
      out = product(out, out);
      if ((exponent.w[i / 64] >> i % 64 & 1) != 0) out = product(out, a);
    }
    return out;
  }

 private:
  // t += a * word.
  static void accumulate(std::uint64_t (&t)[kWords + 2], const Number& a, std::uint64_t word) {
    Wide carry = 0;
    for (unsigned i = 0; i < kWords; ++i) {
      carry += Wide{a.w[i]} * word + t[i];
      t[i] = static_cast<std::uint64_t>(carry);
      carry >>= 64;
    }
    carry += t[kWords];
    t[kWords] = static_cast<std::uint64_t>(carry);
    t[kWords + 1] += static_cast<std::uint64_t>(carry >> 64);
  }

  const Number modulus_;
  std::uint64_t inverse_;  // -1 / modulus, modulo 2^64
  Number square_;          // 2^768: what enter() multiplies by
};

// X / Z^2, Y / Z^3; Z zero: infinity. In Montgomery's form.
struct Point {
  Number x, y, z;
};

Point doubled(const Field& f, const Point& p) {
  // a = -3: "dbl-2001-b".
  const Number delta = f.product(p.z, p.z);
  const Number gamma = f.product(p.y, p.y);
  const Number beta = f.product(p.x, gamma);
  const Number half = f.product(f.difference(p.x, delta), f.sum(p.x, delta));
  const Number alpha = f.sum(f.sum(half, half), half);
  const Number beta4 = f.sum(f.sum(beta, beta), f.sum(beta, beta));
  Point out;
  out.x = f.difference(f.product(alpha, alpha), f.sum(beta4, beta4));
  const Number yz = f.sum(p.y, p.z);
  out.z = f.difference(f.difference(f.product(yz, yz), gamma), delta);
  const Number gamma2 = f.product(gamma, gamma);
  const Number gamma4 = f.sum(f.sum(gamma2, gamma2), f.sum(gamma2, gamma2));
  out.y = f.difference(f.product(alpha, f.difference(beta4, out.x)), f.sum(gamma4, gamma4));
  return out;
}

Point sum(const Field& f, const Point& p, const Point& q) {
  if (is_zero(p.z)) return q;
  if (is_zero(q.z)) return p;
  const Number pz2 = f.product(p.z, p.z);
  const Number qz2 = f.product(q.z, q.z);
  const Number u1 = f.product(p.x, qz2);
  const Number u2 = f.product(q.x, pz2);
  const Number s1 = f.product(p.y, f.product(q.z, qz2));
  const Number s2 = f.product(q.y, f.product(p.z, pz2));
  if (equal(u1, u2)) return equal(s1, s2) ? doubled(f, p) : Point{};
  const Number h = f.difference(u2, u1);
  const Number r = f.difference(s2, s1);
  const Number h2 = f.product(h, h);
  const Number h3 = f.product(h2, h);
  const Number v = f.product(u1, h2);
  Point out;
  out.x = f.difference(f.difference(f.product(r, r), h3), f.sum(v, v));
  out.y = f.difference(f.product(r, f.difference(v, out.x)), f.product(s1, h3));
  out.z = f.product(f.product(p.z, q.z), h);
  return out;
}

Number number(const unsigned char* bytes) {
  Number out{};
  for (unsigned i = 0; i < kSize; ++i)
    out.w[kWords - 1 - i / 8] = out.w[kWords - 1 - i / 8] << 8 | bytes[i];
  return out;
}

bool is_on_curve(const Field& f, const Number& x, const Number& y) {
  const Number three_x = f.sum(f.sum(x, x), x);
  const Number right = f.sum(f.difference(f.product(f.product(x, x), x), three_x), f.enter(kB));
  return equal(f.product(y, y), right);
}

// u1 * base + u2 * key, bit by bit of both.
Point combine(const Field& f, const Number& u1, const Number& u2, const Point& key) {
  const Point base = {f.enter(kBaseX), f.enter(kBaseY), f.enter(Number{{1}})};
  const Point both = sum(f, base, key);
  Point out{};
  for (unsigned i = 64 * kWords; i-- > 0;) {
    if (!is_zero(out.z)) out = doubled(f, out);
    const bool first = (u1.w[i / 64] >> i % 64 & 1) != 0;
    const bool second = (u2.w[i / 64] >> i % 64 & 1) != 0;
    if (first || second) out = sum(f, out, first && second ? both : first ? base : key);
  }
  return out;
}

}  // namespace

bool verify(const unsigned char (&x)[kSize], const unsigned char (&y)[kSize],
            const sha384::Digest& digest, const unsigned char (&r_bytes)[kSize],
            const unsigned char (&s_bytes)[kSize]) {
  const Number r = number(r_bytes);
  const Number s = number(s_bytes);
  const Number key_x = number(x);
  const Number key_y = number(y);
  if (is_zero(r) || is_zero(s) || !less(r, kOrder) || !less(s, kOrder)) return false;
  if (!less(key_x, kPrime) || !less(key_y, kPrime)) return false;
  const Field field(kPrime);
  const Point key = {field.enter(key_x), field.enter(key_y), field.enter(Number{{1}})};
  if (!is_on_curve(field, key.x, key.y)) return false;

  const Field order(kOrder);
  Number e = number(digest.bytes);
  if (!less(e, kOrder)) subtract(e, kOrder);
  const Number w = order.inverse(order.enter(s));
  const Number u1 = order.leave(order.product(order.enter(e), w));
  const Number u2 = order.leave(order.product(order.enter(r), w));
  const Point found = combine(field, u1, u2, key);
  if (is_zero(found.z)) return false;
  // X / Z^2 is r, or r + order where that is below the prime.
  const Number z2 = field.product(found.z, found.z);
  if (equal(field.product(field.enter(r), z2), found.x)) return true;
  Number more = r;
  return add(more, kOrder) == 0 && less(more, kPrime) &&
         equal(field.product(field.enter(more), z2), found.x);
}

}  // namespace p384
