//! What programs mean: elaborated, then run by the float64 interpreter.

mod declarations;
mod library;
mod machine;
mod optimizers;
mod policies;
mod routing;
mod stacks;
mod training;
