__device__ inline float infinity_f32() {
    return __int_as_float(0x7f800000);
}

template <typename T> __device__ T max_float(T a, T b) {
    return (a > b || a != a) ? a : b;
}

extern "C" __global__ void nnc_softmax(const float* __restrict__ x_0, float* __restrict__ y_1, long long B_n, long long T_n) {
    for (long long instance = (long long)blockIdx.x * blockDim.x + threadIdx.x; instance < B_n; instance += (long long)gridDim.x * blockDim.x) {
        const long long b_i = instance;
        float v0 = (-infinity_f32());
        for (long long t_i = 0; t_i < T_n; ++t_i) {
            v0 = max_float(v0, x_0[(T_n * b_i + t_i)]);
        }
        float v1 = 0.0f;
        for (long long t_i = 0; t_i < T_n; ++t_i) {
            v1 = (v1 + expf((x_0[(T_n * b_i + t_i)] - v0)));
        }
        const float v2 = (1.0f / v1);
        for (long long t_i = 0; t_i < T_n; ++t_i) {
            y_1[(T_n * b_i + t_i)] = (expf((x_0[(T_n * b_i + t_i)] - v0)) * v2);
        }
    }
}
