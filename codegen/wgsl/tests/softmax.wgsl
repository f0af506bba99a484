@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) place: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let B_n = sizes[0].x;
    let T_n = sizes[0].y;
    let instance = i32(place.y * (groups.x * 64u) + place.x);
    if (instance >= B_n) {
        return;
    }
    unseen_bits = groups.z - 1u;
    let b_i: i32 = instance;
    var v0: f32 = (-infinity_f32());
    for (var t_i = 0i; t_i < T_n; t_i++) {
        v0 = max_f32(v0, x_0[(T_n * b_i + t_i)]);
    }
    var v1: f32 = 0.0f;
    for (var t_i = 0i; t_i < T_n; t_i++) {
        v1 = (v1 + exp_f32((x_0[(T_n * b_i + t_i)] - v0)));
    }
    let v2: f32 = (1.0f / v1);
    for (var t_i = 0i; t_i < T_n; t_i++) {
        y_1[(T_n * b_i + t_i)] = (exp_f32((x_0[(T_n * b_i + t_i)] - v0)) * v2);
    }
}
