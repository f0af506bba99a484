// Functions that WGSL lacks, or gives too little accuracy. Items are separated by empty lines; a program gets the ones
// it mentions. NaN is tested by its bits, since a shader compiler may assume that floats are never NaN.

// Bits of values that WGSL refuses to fold; read through variables.
var<private> infinity_bits: u32 = 0x7f800000u;

var<private> nan_bits: u32 = 0x7fc00000u;

// Zero, set by main from what no compiler knows.
var<private> unseen_bits: u32;

// The value itself. Shader compilers reassociate sums and products of floats, but not across this.
fn keep_f32(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) ^ unseen_bits);
}

fn infinity_f32() -> f32 {
    return bitcast<f32>(infinity_bits);
}

fn nan_f32() -> f32 {
    return bitcast<f32>(nan_bits);
}

fn is_nan_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_infinite_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

fn is_negative_f32(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x80000000u) != 0u;
}

// floor(p / q) for positive q.
fn quotient_i32(p: i32, q: i32) -> i32 {
    let whole = p / q;
    return whole - select(0i, 1i, whole * q > p);
}

// p - q * floor(p / q) for positive q.
fn remainder_i32(p: i32, q: i32) -> i32 {
    let rest = p % q;
    return select(rest, rest + q, rest < 0i);
}

// Division that rounds down; 0 for b = 0.
fn div_i32(a: i32, b: i32) -> i32 {
    if b == 0i {
        return 0i;
    }
    if b == -1i {
        return 0i - a;
    }
    let whole = a / b;
    let rest = a - whole * b;
    return whole - select(0i, 1i, rest != 0i && ((rest < 0i) != (b < 0i)));
}

// The remainder with the sign of b; 0 for b = 0.
fn rem_i32(a: i32, b: i32) -> i32 {
    return select(a - div_i32(a, b) * b, 0i, b == 0i);
}

fn div_u32(a: u32, b: u32) -> u32 {
    if b == 0u {
        return 0u;
    }
    return a / b;
}

fn rem_u32(a: u32, b: u32) -> u32 {
    if b == 0u {
        return 0u;
    }
    return a % b;
}

fn min_f32(a: f32, b: f32) -> f32 {
    if is_nan_f32(a) {
        return a;
    }
    return select(min(a, b), b, is_nan_f32(b));
}

fn max_f32(a: f32, b: f32) -> f32 {
    if is_nan_f32(a) {
        return a;
    }
    return select(max(a, b), b, is_nan_f32(b));
}

fn sign_f32(x: f32) -> f32 {
    return select(sign(x), x, is_nan_f32(x));
}

// The exponent of a number, as if its leading bit were 2^exponent.
fn exponent_f32(x: f32) -> i32 {
    return i32((bitcast<u32>(x) >> 23u) & 0xffu) - 127i;
}

// a mod b by long division: exact for any quotient. Both are positive and finite.
fn far_rem_f32(a: f32, b: f32) -> f32 {
    var rest = a;
    for (var k = exponent_f32(a) - exponent_f32(b); k >= 0i; k--) {
        let part = scale_f32(b, k);
        rest -= select(0.0, part, rest >= part);
    }
    return rest;
}

// a - b * floor(a / b).
fn rem_f32(a: f32, b: f32) -> f32 {
    let whole = floor(a / b);
    if abs(whole) > 4096.0 && b != 0.0 && abs(a) < infinity_f32() {
        let rest = far_rem_f32(abs(a), abs(b));
        let size = select(rest, abs(b) - rest, rest != 0.0 && (a < 0.0) != (b < 0.0));
        return select(size, -size, b < 0.0);
    }
    let head = head_f32(b);
    let rest = keep_f32(a - whole * head) - whole * (b - head);
    // The rounded quotient may be off by one; a rest of b is right only where the true one rounds to b.
    if rest != 0.0 && ((rest < 0.0) != (b < 0.0)) {
        return rest + b;
    }
    let exceeds = abs(rest) > abs(b) || (rest == b && (whole + 1.0) * b == a);
    return select(rest, rest - b, exceeds);
}

// x * 2^n, rounded once.
fn scale_f32(x: f32, n: i32) -> f32 {
    let low = n / 2i;
    let first = bitcast<f32>(u32(low + 127i) << 23u);
    let second = bitcast<f32>(u32(n - low + 127i) << 23u);
    return x * first * second;
}

// e^r - 1 for |r| <= log(2) / 2: minimax polynomial, relative error 1e-8.
fn expm1_core_f32(r: f32) -> f32 {
    let p = fma(fma(fma(fma(1.394141582e-3, r, 8.363348432e-3), r, 4.166637361e-2), r, 1.666657627e-1), r, 0.5);
    return fma(p * r, r, r);
}

// x - n log(2), with log(2) in two parts of which the first times n is exact.
fn exp_rest_f32(x: f32, n: f32) -> f32 {
    return fma(n, 2.12194440e-4, keep_f32(fma(n, -0.693359375, x)));
}

fn exp_f32(x: f32) -> f32 {
    if is_nan_f32(x) {
        return x;
    }
    if x > 89.0 {
        return infinity_f32();
    }
    if x < -104.0 {
        return 0.0;
    }
    let n = round(x * 1.442695041);
    return scale_f32(1.0 + expm1_core_f32(exp_rest_f32(x, n)), i32(n));
}

fn expm1_f32(x: f32) -> f32 {
    if is_nan_f32(x) {
        return x;
    }
    if x > 89.0 {
        return infinity_f32();
    }
    if x < -18.0 {
        return -1.0;
    }
    let n = round(x * 1.442695041);
    let p = expm1_core_f32(exp_rest_f32(x, n));
    if n == 0.0 {
        return p;
    }
    // Half the result first: 2^n alone may overflow.
    return 2.0 * (scale_f32(p, i32(n) - 1i) + (scale_f32(1.0, i32(n) - 1i) - 0.5));
}

// log(1 + f) + k log(2) for 1 + f in sqrt(1/2) to sqrt(2), by s = f / (2 + f): 2 atanh(s).
fn log_core_f32(f: f32, k: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    let r = z * fma(fma(fma(0.2333863229, z, 0.2855050564), z, 0.4000012577), z, 0.6666666865);
    let h = 0.5 * f * f;
    return fma(k, 0.693359375, keep_f32(f - (h - fma(s, h + r, k * -2.12194440e-4))));
}

fn log_f32(x: f32) -> f32 {
    if is_nan_f32(x) || x < 0.0 {
        return nan_f32();
    }
    if x == 0.0 {
        return -infinity_f32();
    }
    if is_infinite_f32(x) {
        return x;
    }
    let tiny = x < 1.17549435e-38;
    let bits = bitcast<u32>(select(x, x * 8388608.0, tiny)) + (0x3f800000u - 0x3f3504f3u);
    let m = bitcast<f32>((bits & 0x007fffffu) + 0x3f3504f3u);
    return log_core_f32(m - 1.0, f32(i32(bits >> 23u) - select(127i, 150i, tiny)));
}

fn log1p_f32(x: f32) -> f32 {
    if x > -0.2928 && x < 0.4142 {
        return log_core_f32(x, 0.0);
    }
    return log_f32(1.0 + x);
}

fn tanh_f32(x: f32) -> f32 {
    if abs(x) > 10.0 {
        return sign(x);
    }
    let t = expm1_f32(-2.0 * abs(x));
    let y = -t / (2.0 + t);
    return select(y, -y, x < 0.0);
}

// Below 0.9 a polynomial, above 1 - exp(q) with q = log(erfc); minimax, relative error 1e-8.
fn erf_f32(x: f32) -> f32 {
    let a = abs(x);
    if is_nan_f32(x) {
        return x;
    }
    if a > 4.0 {
        return sign(x);
    }
    if a < 0.9 {
        let z = x * x;
        var p = fma(fma(8.538841939e-5, z, -8.181927842e-4), z, 5.204435904e-3);
        p = fma(fma(fma(p, z, -2.686075307e-2), z, 1.128371954e-1), z, -3.761263490e-1);
        return fma(x, fma(p, z, 1.283791661e-1), x);
    }
    var q = fma(fma(fma(2.045139445e-5, a, -4.270833742e-4), a, 4.135646857e-3), a, -2.502714656e-2);
    q = fma(fma(fma(fma(q, a, 1.081390381e-1), a, 6.334734559e-1), a, 1.129453182), a, -1.620253315e-4);
    let y = 1.0 - exp_f32(-q);
    return select(y, -y, x < 0.0);
}

// An angle less a multiple of a quarter turn: |angle| <= pi / 4, quadrant in 0..4.
struct Turn {
    angle: f32,
    quadrant: u32,
}

// 32 bits of 2 / pi from bit `start` on, where the first 32 bits are zero.
fn two_over_pi_bits(start: u32) -> u32 {
    var words = array<u32, 8>(
        0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
    );
    let word = start / 32u;
    let shift = start % 32u;
    if shift == 0u {
        return words[word];
    }
    return (words[word] << shift) | (words[word + 1u] >> (32u - shift));
}

// The upper word of a 64-bit product.
fn high_product_u32(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let cross = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (cross & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (cross >> 16u) + (other >> 16u);
}

// Reduction of large angles by Payne and Hanek: of 2/pi only the bits that survive modulo four quarter turns count.
fn far_turn_f32(x: f32) -> Turn {
    let bits = bitcast<u32>(x);
    let exponent = (bits >> 23u) & 0xffu;
    if exponent == 0xffu {
        return Turn(nan_f32(), 0u);
    }
    let mantissa = (bits & 0x007fffffu) | 0x00800000u;
    // x = mantissa * 2^(exponent - 150), so bits of weight 2^-(exponent - 152) and above are whole turns.
    let start = exponent - 120u;
    let middle = two_over_pi_bits(start + 32u);
    let low = mantissa * middle + high_product_u32(mantissa, two_over_pi_bits(start + 64u));
    let carry = select(0u, 1u, low < mantissa * middle);
    let high = mantissa * two_over_pi_bits(start) + high_product_u32(mantissa, middle) + carry;
    let fraction = (high << 2u) | (low >> 30u);
    let angle = fma(f32(low << 2u), 8.515304e-20, f32(bitcast<i32>(fraction)) * 3.6572953e-10);
    let quadrant = (high >> 30u) + (fraction >> 31u);
    if is_negative_f32(x) {
        return Turn(-angle, (4u - quadrant) & 3u);
    }
    return Turn(angle, quadrant & 3u);
}

fn turn_f32(x: f32) -> Turn {
    if abs(x) < 8192.0 {
        let n = round(x * 0.6366197724);
        let coarse = keep_f32(fma(n, -4.837512969970703e-4, keep_f32(fma(n, -1.5703125, x))));
        let angle = fma(n, -7.54978995e-8, coarse);
        return Turn(angle, u32(i32(n)) & 3u);
    }
    return far_turn_f32(x);
}

// sin for quadrant 0 of a turn, cos for quadrant 1, and so on.
fn wave_f32(angle: f32, quadrant: u32) -> f32 {
    let z = angle * angle;
    var y = fma(angle * z, fma(fma(fma(2.724922297e-6, z, -1.984008122e-4), z, 8.333331905e-3), z, -1.666666716e-1), angle);
    if (quadrant & 1u) == 1u {
        y = fma(z * z, fma(fma(2.454739843e-5, z, -1.388830016e-3), z, 4.166666418e-2), fma(z, -0.5, 1.0));
    }
    return select(y, -y, (quadrant & 2u) == 2u);
}

fn sin_f32(x: f32) -> f32 {
    let turn = turn_f32(x);
    return wave_f32(turn.angle, turn.quadrant);
}

fn cos_f32(x: f32) -> f32 {
    let turn = turn_f32(x);
    return wave_f32(turn.angle, turn.quadrant + 1u);
}

// The leading 12 bits: products of two such numbers are exact.
fn head_f32(x: f32) -> f32 {
    return bitcast<f32>(bitcast<u32>(x) & 0xfffff000u);
}

// 2^(b log2(m)) for finite m > 0, m != 1. The logarithm and its product with b are carried in two parts.
fn pow_core_f32(m: f32, b: f32) -> f32 {
    let tiny = m < 1.17549435e-38;
    let bits = bitcast<u32>(select(m, m * 8388608.0, tiny)) + (0x3f800000u - 0x3f3504f3u);
    let k = f32(i32(bits >> 23u) - select(127i, 150i, tiny));
    let x = bitcast<f32>((bits & 0x007fffffu) + 0x3f3504f3u);
    let f = x - 1.0;
    let sum = x + 1.0;
    let ratio = f / sum;
    let s = head_f32(ratio);
    let sum_head = head_f32(sum);
    let sum_tail = x - keep_f32(sum_head - 1.0);
    let s_tail = (keep_f32(f - s * sum_head) - s * sum_tail) / sum;
    let z = ratio * ratio;
    let series = ratio * z * 0.5 * fma(fma(fma(0.2333863229, z, 0.2855050564), z, 0.4000012577), z, 0.6666666865);
    // 2 / log(2) = 2.8847656 (12 bits) + 6.2438e-4.
    let top = s * 2.884765625;
    let tail = keep_f32(fma(s, 6.2445678e-4, 2.885390082 * (s_tail + series)));
    let log_head = head_f32(k + top);
    let log_tail = keep_f32(keep_f32(k - log_head) + top) + tail;
    let coarse = b * (log_head + log_tail);
    if coarse > 130.0 {
        return infinity_f32();
    }
    if coarse < -152.0 {
        return 0.0;
    }
    let b_head = head_f32(b);
    let y = b_head * log_head;
    let n = round(coarse);
    let rest = keep_f32(y - n) + fma(b, log_tail, keep_f32(b - b_head) * log_head);
    return scale_f32(1.0 + expm1_core_f32(rest * 0.6931471806), i32(n));
}

fn pow_f32(a: f32, b: f32) -> f32 {
    let m = abs(a);
    if b == 0.0 || a == 1.0 {
        return 1.0;
    }
    if is_nan_f32(a) || is_nan_f32(b) {
        return nan_f32();
    }
    let whole = floor(b) == b;
    if a < 0.0 && !whole && !is_infinite_f32(a) {
        return nan_f32();
    }
    let odd = whole && abs(b) < 16777216.0 && floor(b * 0.5) * 2.0 != b;
    var y = 1.0;
    if m == 0.0 || is_infinite_f32(m) {
        y = select(0.0, infinity_f32(), (m == 0.0) == (b < 0.0));
    } else if is_infinite_f32(b) && m != 1.0 {
        y = select(0.0, infinity_f32(), (m > 1.0) == (b > 0.0));
    } else if m != 1.0 {
        y = pow_core_f32(m, b);
    }
    return select(y, -y, odd && is_negative_f32(a));
}

// log(gamma(2 + z)) for |z| <= 1/2: minimax polynomial, relative error 1e-9.
fn lgamma_near_two_f32(z: f32) -> f32 {
    var p = fma(fma(fma(1.223644358e-4, z, -2.536185493e-4), z, 5.015165079e-4), z, -1.185959321e-3);
    p = fma(fma(fma(p, z, 2.891732613e-3), z, -7.386158686e-3), z, 2.058073506e-2);
    p = fma(fma(fma(p, z, -6.735228002e-2), z, 3.224670291e-1), z, 4.227843285e-1);
    return p * z;
}

fn lgamma_positive_f32(x: f32) -> f32 {
    if x < 0.5 {
        return lgamma_near_two_f32(x) - log_f32(x) - log1p_f32(x);
    }
    if x < 1.5 {
        return lgamma_near_two_f32(x - 1.0) - log1p_f32(x - 1.0);
    }
    if x >= 8.0 {
        // Stirling.
        let w = 1.0 / x;
        let series = w * fma(w * w, fma(w * w, 7.9365079e-4, -2.7777778e-3), 8.3333333e-2);
        return (x - 0.5) * (log_f32(x) - 1.0) + 0.4189385332 + series;
    }
    var product = 1.0;
    var y = x;
    while y >= 2.5 {
        y -= 1.0;
        product *= y;
    }
    return lgamma_near_two_f32(y - 2.0) + log_f32(product);
}

fn lgamma_f32(x: f32) -> f32 {
    if is_nan_f32(x) {
        return x;
    }
    if is_infinite_f32(x) || (x <= 0.0 && floor(x) == x) {
        return infinity_f32();
    }
    if x > 0.0 {
        return lgamma_positive_f32(x);
    }
    // Reflection.
    let distance = abs(x - round(x));
    return log_f32(3.141592654 / sin_f32(3.141592654 * distance)) - lgamma_positive_f32(1.0 - x);
}

fn digamma_positive_f32(x: f32) -> f32 {
    var shift = 0.0;
    var y = x;
    while y < 8.0 {
        shift -= 1.0 / y;
        y += 1.0;
    }
    let w = 1.0 / y;
    let z = w * w;
    return shift + (log_f32(y) - 0.5 * w - z * fma(z, fma(z, 3.9682540e-3, -8.3333333e-3), 8.3333333e-2));
}

fn digamma_f32(x: f32) -> f32 {
    if is_nan_f32(x) || (x <= 0.0 && floor(x) == x) {
        return nan_f32();
    }
    if is_infinite_f32(x) {
        return x;
    }
    if x > 0.0 {
        return digamma_positive_f32(x);
    }
    // Reflection.
    let angle = 3.141592654 * (x - round(x));
    return digamma_positive_f32(1.0 - x) - 3.141592654 * cos_f32(angle) / sin_f32(angle);
}

fn i32_of_f32(x: f32) -> i32 {
    if is_nan_f32(x) {
        return 0i;
    }
    if x >= 2147483648.0 {
        return 2147483647i;
    }
    if x <= -2147483648.0 {
        return -2147483647i - 1i;
    }
    return i32(x);
}

fn u32_of_f32(x: f32) -> u32 {
    if is_nan_f32(x) || x <= 0.0 {
        return 0u;
    }
    if x >= 4294967296.0 {
        return 4294967295u;
    }
    return u32(x);
}

fn u8_of_f32(x: f32) -> u32 {
    return min(u32_of_f32(x), 255u);
}

// The nearest number with 8 significant bits, ties to even.
fn round_bf16(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if is_nan_f32(x) {
        return bitcast<f32>((bits | 0x00400000u) & 0xffff0000u);
    }
    return bitcast<f32>((bits + 0x7fffu + ((bits >> 16u) & 1u)) & 0xffff0000u);
}

// The nearest IEEE half, ties to even; beyond 65504 infinity.
fn round_f16(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let size = bits & 0x7fffffffu;
    if size >= 0x7f800000u {
        return x;
    }
    if size < 0x38800000u {
        return round(x * 16777216.0) * 5.9604644775390625e-8;
    }
    var nearest = (size + 0x0fffu + ((size >> 13u) & 1u)) & 0xffffe000u;
    if nearest >= 0x47800000u {
        nearest = infinity_bits;
    }
    return bitcast<f32>(nearest | (bits & 0x80000000u));
}

// Threefry-2x32-20 (Salmon et al., 2011) of key (seed, stage) and counter (index, salt): 24 bits of the first word.
fn uniform_f32(seed: u32, stage: u32, index: u32, salt: u32) -> f32 {
    var keys = array<u32, 3>(seed, stage, 0x1bd11bdau ^ seed ^ stage);
    var turns = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
    var x = index + seed;
    var y = salt + stage;
    for (var group = 0u; group < 5u; group++) {
        for (var k = 0u; k < 4u; k++) {
            let turn = turns[(group % 2u) * 4u + k];
            x += y;
            y = ((y << turn) | (y >> (32u - turn))) ^ x;
        }
        x += keys[(group + 1u) % 3u];
        y += keys[(group + 2u) % 3u] + group + 1u;
    }
    return f32(x >> 8u) * 5.9604644775390625e-8;
}
