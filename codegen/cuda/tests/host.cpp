// What CUDA gives a kernel, for one thread on the host: enough to judge the arithmetic of printed text.
#include <cmath>
#include <cstdint>
#include <cstring>
#define __device__ static
#define __global__
#define __restrict__
using std::isinf;
struct Place { unsigned x; };
static const Place blockIdx = {0}, blockDim = {1}, threadIdx = {0}, gridDim = {1};

template <typename To, typename From> static To bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "sizes differ");
    memcpy(&to, &from, sizeof to);
    return to;
}

static inline float __int_as_float(int x) { return bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return bits<float>(x); }
static inline int __float_as_int(float x) { return bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return bits<unsigned>(x); }
static inline double __longlong_as_double(long long x) { return bits<double>(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }

