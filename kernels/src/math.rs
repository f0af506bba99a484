//! Elementary functions over strips of f32, in place.

/// `exp` of every element.
pub fn vexp(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::expf(*x));
}

/// Natural logarithm of every element.
pub fn vlog(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::logf(*x));
}

/// `tanh` of every element.
pub fn vtanh(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::tanhf(*x));
}

/// The error function of every element.
pub fn verf(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::erff(*x));
}

/// `sin` of every element.
pub fn vsin(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::sinf(*x));
}

/// `cos` of every element.
pub fn vcos(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = libm::cosf(*x));
}
