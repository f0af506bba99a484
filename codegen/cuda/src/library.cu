// Functions that CUDA lacks, or defines otherwise than the kernel IR. Items are separated by empty lines; a program
// gets the ones it mentions. Later items use earlier ones.

__device__ inline float infinity_f32() {
    return __int_as_float(0x7f800000);
}

__device__ inline float nan_f32() {
    return __int_as_float(0x7fc00000);
}

__device__ inline double infinity_f64() {
    return __longlong_as_double(0x7ff0000000000000LL);
}

__device__ inline double nan_f64() {
    return __longlong_as_double(0x7ff8000000000000LL);
}

// floor(p / q) for positive q.
__device__ inline long long quotient_index(long long p, long long q) {
    const long long whole = p / q;
    return whole - (whole * q > p);
}

// p - q * floor(p / q) for positive q.
__device__ inline long long remainder_index(long long p, long long q) {
    const long long rest = p % q;
    return rest < 0 ? rest + q : rest;
}

__device__ inline long long larger_index(long long p, long long q) {
    return p > q ? p : q;
}

__device__ inline long long smaller_index(long long p, long long q) {
    return p < q ? p : q;
}

__device__ inline int add_i32(int a, int b) {
    return (int)((unsigned)a + (unsigned)b);
}

__device__ inline int sub_i32(int a, int b) {
    return (int)((unsigned)a - (unsigned)b);
}

__device__ inline int mul_i32(int a, int b) {
    return (int)((unsigned)a * (unsigned)b);
}

// Division that rounds down; 0 for b = 0.
__device__ inline int div_i32(int a, int b) {
    if (b == 0) {
        return 0;
    }
    if (b == -1) {
        return sub_i32(0, a);
    }
    const int whole = a / b;
    const int rest = a % b;
    return whole - (rest != 0 && (rest < 0) != (b < 0));
}

// The remainder with the sign of b; 0 for b = 0.
__device__ inline int rem_i32(int a, int b) {
    return b == 0 ? 0 : sub_i32(a, mul_i32(div_i32(a, b), b));
}

__device__ inline unsigned div_u32(unsigned a, unsigned b) {
    return b == 0 ? 0 : a / b;
}

__device__ inline unsigned rem_u32(unsigned a, unsigned b) {
    return b == 0 ? 0 : a % b;
}

__device__ inline int abs_i32(int a) {
    return a < 0 ? sub_i32(0, a) : a;
}

// NaN if either is.
template <typename T> __device__ T min_float(T a, T b) {
    return (a < b || a != a) ? a : b;
}

template <typename T> __device__ T max_float(T a, T b) {
    return (a > b || a != a) ? a : b;
}

template <typename T> __device__ T min_int(T a, T b) {
    return a < b ? a : b;
}

template <typename T> __device__ T max_int(T a, T b) {
    return a > b ? a : b;
}

// Zero and NaN stay.
template <typename T> __device__ T sign_of(T a) {
    return a > T(0) ? T(1) : (a < T(0) ? T(-1) : a);
}

// a - b * floor(a / b), exact for any quotient.
__device__ inline double rem_f64(double a, double b) {
    if (isinf(b)) {
        return a - b * floor(a / b);
    }
    const double rest = fmod(a, b);
    return (rest != 0.0 && (rest < 0.0) != (b < 0.0)) ? rest + b : rest;
}

__device__ inline float rem_f32(float a, float b) {
    if (isinf(b)) {
        return a - b * floorf(a / b);
    }
    const float rest = fmodf(a, b);
    return (rest != 0.0f && (rest < 0.0f) != (b < 0.0f)) ? rest + b : rest;
}

// By recurrence to arguments past 10, then the asymptotic series (Abramowitz and Stegun 6.3.18).
__device__ inline double digamma_positive(double x) {
    double shift = 0.0;
    while (x < 10.0) {
        shift -= 1.0 / x;
        x += 1.0;
    }
    const double z = 1.0 / (x * x);
    double series = 1.0 / 12.0;
    series = -691.0 / 32760.0 + series * z;
    series = 1.0 / 132.0 + series * z;
    series = -1.0 / 240.0 + series * z;
    series = 1.0 / 252.0 + series * z;
    series = -1.0 / 120.0 + series * z;
    series = 1.0 / 12.0 + series * z;
    return shift + log(x) - 0.5 / x - series * z;
}

__device__ inline double digamma_f64(double x) {
    if (x > 0.0) {
        return digamma_positive(x);
    }
    if (!(x > -infinity_f64()) || x == floor(x)) {
        return nan_f64();
    }
    const double angle = 3.14159265358979323846 * (x - rint(x));
    return digamma_positive(1.0 - x) - 3.14159265358979323846 / tan(angle);
}

__device__ inline float digamma_f32(float x) {
    return (float)digamma_f64(x);
}

// Truncation; saturates, 0 for NaN.
__device__ inline int i32_of_float(double x) {
    if (x != x) {
        return 0;
    }
    return x >= 2147483647.0 ? 2147483647 : (x <= -2147483648.0 ? -2147483647 - 1 : (int)x);
}

__device__ inline unsigned u32_of_float(double x) {
    if (!(x > 0.0)) {
        return 0;
    }
    return x >= 4294967295.0 ? 4294967295u : (unsigned)x;
}

__device__ inline unsigned u8_of_float(double x) {
    return min_int(u32_of_float(x), 255u);
}

__device__ inline float f32_of_bf16(unsigned short bits) {
    return __int_as_float((int)((unsigned)bits << 16));
}

// To the nearest, ties to even.
__device__ inline unsigned short bf16_of_f32(float x) {
    const unsigned bits = (unsigned)__float_as_int(x);
    if (x != x) {
        return (unsigned short)((bits >> 16) | 0x40u);
    }
    return (unsigned short)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ inline float f32_of_f16(unsigned short bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}

__device__ inline unsigned short f16_of_f32(float x) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ inline float round_bf16(float x) {
    return f32_of_bf16(bf16_of_f32(x));
}

__device__ inline float round_f16(float x) {
    return f32_of_f16(f16_of_f32(x));
}

// Threefry-2x32-20 (Salmon et al., 2011) of key (seed, stage) and counter (index, salt): 24 bits of the first word.
__device__ inline float uniform_f32(unsigned seed, unsigned stage, unsigned index, unsigned salt) {
    const unsigned keys[3] = {seed, stage, 0x1bd11bdau ^ seed ^ stage};
    const unsigned turns[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    unsigned x = index + seed;
    unsigned y = salt + stage;
#pragma unroll
    for (unsigned group = 0; group < 5; ++group) {
#pragma unroll
        for (unsigned k = 0; k < 4; ++k) {
            const unsigned turn = turns[group % 2 * 4 + k];
            x += y;
            y = ((y << turn) | (y >> (32 - turn))) ^ x;
        }
        x += keys[(group + 1) % 3];
        y += keys[(group + 2) % 3] + group + 1;
    }
    return (float)(x >> 8) * 5.9604644775390625e-8f;
}
