//! What a `train` program says, read from its syntax. A flat program is one fit; settings outside `fit` are the
//! defaults of every fit.

use crate::elaborate::Elaborator;
use crate::elaborate::values::{Scope, Val};
use crate::entries::Overrides;
use crate::world::{DataSource, Plain};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::DType;
use std::rc::Rc;

/// Most micro-batches per step.
pub const MAX_MICRO_BATCHES: i64 = 1 << 20;

/// One fit.
#[derive(Clone, Debug)]
pub(crate) struct FitSettings<'a> {
    pub data: DataSource,
    pub data_span: Span,
    pub loss: Option<&'a ast::Expr>,
    pub optimizer: Option<&'a ast::Expr>,
    pub trains: Vec<&'a ast::Expr>,
    pub metrics: Vec<(String, &'a ast::Expr)>,
    pub lets: Vec<&'a ast::Stmt>,
    pub steps: Option<i64>,
    pub epochs: Option<i64>,
    /// Whether the program says how long to train, be it wrongly.
    pub timed: bool,
    pub clip: Option<f64>,
    pub accumulate: i64,
    pub shuffle: bool,
    pub held_out: Option<f64>,
    pub evaluate_every: i64,
    pub patience: i64,
    pub checkpoint_every: i64,
    pub log_every: i64,
    pub precision: DType,
    pub span: Span,
}

/// Settings and what they mean, for messages and the manual.
pub const SETTINGS: &[(&str, &str)] = &[
    (
        "data",
        "where samples come from: `text(\"file\", context: 64, batch: 12)`, `idx(..)`, `csv(..)`, `npz(..)`, `safetensors(..)`",
    ),
    ("loss", "the scalar that is minimized"),
    ("optimizer", "the policy of every trained weight that has no `step`"),
    ("trains", "paths of the weights that train: `@**.w`; all without it"),
    ("metrics", "a record of further scalars that evaluation reports"),
    ("steps", "number of training steps"),
    ("epochs", "number of passes over the training samples, instead of `steps`"),
    ("clip", "largest global norm of the gradient"),
    ("accumulate", "micro-batches per step"),
    ("shuffle", "whether each epoch has a new random order"),
    ("held_out", "share of the samples, from the end, that is kept for evaluation"),
    ("evaluate_every", "steps between evaluations"),
    ("patience", "evaluations without improvement before an early stop"),
    ("checkpoint_every", "steps between checkpoints"),
    ("log_every", "steps between log lines"),
    ("precision", "element type of everything that states none: f32, bf16, f16"),
];

/// The fits of a training program.
pub(crate) fn settings_of<'a>(
    train: &'a ast::Train,
    overrides: &Overrides,
) -> Result<Vec<FitSettings<'a>>, Vec<Diagnostic>> {
    let mut reader = Reader { diagnostics: Vec::new() };
    let mut base = FitSettings {
        data: DataSource::default(),
        data_span: train.model.span,
        loss: None,
        optimizer: None,
        trains: Vec::new(),
        metrics: Vec::new(),
        lets: Vec::new(),
        steps: None,
        epochs: None,
        timed: false,
        clip: None,
        accumulate: 1,
        shuffle: true,
        held_out: None,
        evaluate_every: 0,
        patience: 0,
        checkpoint_every: 0,
        log_every: 10,
        precision: DType::F32,
        span: train.model.span,
    };
    let mut fits = Vec::new();
    for stmt in &train.body.stmts {
        match &stmt.kind {
            ast::StmtKind::Fit(fit) => {
                let mut one = FitSettings { span: stmt.span, ..base.clone() };
                one.steps = reader.whole(&fit.count);
                for inner in &fit.body.stmts {
                    reader.statement(inner, &mut one);
                }
                fits.push(one);
            }
            _ => reader.statement(stmt, &mut base),
        }
    }
    if fits.is_empty() {
        fits.push(base);
    }
    for fit in &fits {
        reader.check(fit, overrides);
        if fit.precision != fits[0].precision {
            let message = "the fits of one program store weights in different precisions";
            reader.diagnostics.push(
                Diagnostic::error("train::precision", fit.span, message)
                    .help("set `precision` once, outside `fit`"),
            );
        }
    }
    if reader.diagnostics.is_empty() { Ok(fits) } else { Err(reader.diagnostics) }
}

struct Reader {
    diagnostics: Vec<Diagnostic>,
}

impl Reader {
    fn statement<'a>(&mut self, stmt: &'a ast::Stmt, fit: &mut FitSettings<'a>) {
        match &stmt.kind {
            ast::StmtKind::Doc(_) | ast::StmtKind::Error(_) => {}
            ast::StmtKind::Let(_) => fit.lets.push(stmt),
            ast::StmtKind::Entry(entry) => match &entry.code {
                ast::Code::Expr(expr) => self.setting(&entry.name, expr, fit),
                ast::Code::Body(_) => {
                    let message =
                        format!("`{} {{ .. }}` in a training program is not built yet", entry.name.text);
                    self.diagnostics.push(Diagnostic::error("support::train", stmt.span, message));
                }
            },
            _ => {
                let message =
                    "a training program holds settings, `let` and `fit`; other statements are not built yet";
                self.diagnostics.push(Diagnostic::error("support::train", stmt.span, message));
            }
        }
    }

    fn setting<'a>(&mut self, name: &'a ast::Name, expr: &'a ast::Expr, fit: &mut FitSettings<'a>) {
        match name.text.as_str() {
            "data" => {
                fit.data_span = expr.span;
                if let Some(data) = self.data(expr) {
                    fit.data = data;
                }
            }
            "loss" => fit.loss = Some(expr),
            "optimizer" => fit.optimizer = Some(expr),
            "trains" => fit.trains.push(expr),
            "metrics" => match &expr.kind {
                ast::ExprKind::Record(entries) => {
                    fit.metrics = entries.iter().map(|e| (e.name.text.clone(), &e.value)).collect();
                }
                _ => self.wrong(expr, "a record: `{ accuracy: accuracy(logits, data.label) }`"),
            },
            "steps" => (fit.steps, fit.timed) = (self.whole(expr), true),
            "epochs" => (fit.epochs, fit.timed) = (self.whole(expr), true),
            "clip" => fit.clip = self.positive(expr),
            "accumulate" => fit.accumulate = self.whole(expr).unwrap_or(1),
            "shuffle" => match plain(expr) {
                Some(Plain::Bool(on)) => fit.shuffle = on,
                _ => self.wrong(expr, "true or false"),
            },
            "held_out" => match self.positive(expr) {
                Some(share) if share < 1.0 => fit.held_out = Some(share),
                _ => self.wrong(expr, "a share below 1, such as 10%"),
            },
            "evaluate_every" => fit.evaluate_every = self.whole(expr).unwrap_or(0),
            "patience" => fit.patience = self.whole(expr).unwrap_or(0),
            "checkpoint_every" => fit.checkpoint_every = self.whole(expr).unwrap_or(0),
            "log_every" => fit.log_every = self.whole(expr).unwrap_or(10),
            "precision" => match &expr.kind {
                ast::ExprKind::Name(n) if n.text == "f32" => fit.precision = DType::F32,
                ast::ExprKind::Name(n) if n.text == "bf16" => fit.precision = DType::Bf16,
                ast::ExprKind::Name(n) if n.text == "f16" => fit.precision = DType::F16,
                _ => self.wrong(expr, "f32, bf16 or f16"),
            },
            other => {
                let message = format!("a training program has no setting `{other}`");
                let mut diagnostic = Diagnostic::error("name::argument", name.span, message);
                if let Some(near) = crate::nearest(other, SETTINGS.iter().map(|s| s.0)) {
                    diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
                }
                self.diagnostics.push(diagnostic);
            }
        }
    }

    fn data(&mut self, expr: &ast::Expr) -> Option<DataSource> {
        let ast::ExprKind::Call { callee, args } = &expr.kind else {
            self.wrong(expr, "a source: `text(\"file\", context: 64, batch: 12)`");
            return None;
        };
        let ast::ExprKind::Name(kind) = &callee.kind else {
            self.wrong(expr, "a source: `text(\"file\", context: 64, batch: 12)`");
            return None;
        };
        let mut source = DataSource { kind: kind.text.clone(), ..DataSource::default() };
        for (place, arg) in args.iter().enumerate() {
            match (&arg.name, plain(&arg.value)) {
                (None, Some(Plain::Text(text))) if place == 0 => source.source = text,
                (Some(name), Some(value)) => {
                    source.options.insert(name.text.clone(), value);
                }
                _ => self.wrong(&arg.value, "a plain value; options have names"),
            }
        }
        Some(source)
    }

    fn whole(&mut self, expr: &ast::Expr) -> Option<i64> {
        match plain(expr) {
            Some(Plain::Int(n)) if n >= 0 => Some(n),
            _ => {
                self.wrong(expr, "a whole number");
                None
            }
        }
    }

    fn positive(&mut self, expr: &ast::Expr) -> Option<f64> {
        match plain(expr) {
            Some(Plain::Int(n)) if n >= 0 => Some(n as f64),
            Some(Plain::Real(x)) if x >= 0.0 => Some(x),
            _ => {
                self.wrong(expr, "a number that is not negative");
                None
            }
        }
    }

    fn wrong(&mut self, expr: &ast::Expr, wanted: &str) {
        let message = format!("{wanted} is needed here");
        self.diagnostics.push(Diagnostic::error("type::value", expr.span, message));
    }

    fn check(&mut self, fit: &FitSettings, overrides: &Overrides) {
        if fit.data.kind.is_empty() {
            let message = "nothing says where samples come from";
            self.diagnostics
                .push(Diagnostic::error("train::data", fit.span, message).help("add `data = ..`"));
        }
        if !fit.timed && fit.steps.is_none() && overrides.steps.is_none() {
            let message = "nothing says how long to train";
            self.diagnostics.push(
                Diagnostic::error("train::steps", fit.span, message)
                    .help("add `steps = ..` or `epochs = ..`"),
            );
        }
        if fit.patience > 0 && (fit.evaluate_every == 0 || fit.held_out == Some(0.0)) {
            let message = "`patience` counts evaluations, and this fit makes none before its end";
            self.diagnostics.push(
                Diagnostic::error("train::patience", fit.span, message)
                    .help("set `evaluate_every`, and hold samples out: `held_out = 10%`"),
            );
        }
        if !(1..=MAX_MICRO_BATCHES).contains(&fit.accumulate) {
            let message = format!("{} micro-batches per step", fit.accumulate);
            let help = format!("`accumulate` is 1 to {MAX_MICRO_BATCHES}");
            self.diagnostics.push(Diagnostic::error("train::accumulate", fit.span, message).help(help));
        }
    }
}

/// A literal, or arithmetic on literals: `20 * 500`.
fn plain(expr: &ast::Expr) -> Option<Plain> {
    match &expr.kind {
        ast::ExprKind::Int(n) => Some(Plain::Int(*n)),
        ast::ExprKind::Real(x) => Some(Plain::Real(*x)),
        ast::ExprKind::Text(text) => Some(Plain::Text(text.clone())),
        ast::ExprKind::Name(name) => match name.text.as_str() {
            "true" => Some(Plain::Bool(true)),
            "false" => Some(Plain::Bool(false)),
            _ => None,
        },
        ast::ExprKind::Unary { op: ast::UnaryOp::Neg, value } => match plain(value)? {
            Plain::Int(n) => n.checked_neg().map(Plain::Int),
            Plain::Real(x) => Some(Plain::Real(-x)),
            _ => None,
        },
        ast::ExprKind::Binary { op, left, right } => arithmetic(*op, &plain(left)?, &plain(right)?),
        ast::ExprKind::List(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(Plain::List),
        _ => None,
    }
}

fn arithmetic(op: ast::BinaryOp, left: &Plain, right: &Plain) -> Option<Plain> {
    use ast::BinaryOp as Op;
    let real = |value: &Plain| match value {
        Plain::Int(n) => Some(*n as f64),
        Plain::Real(x) => Some(*x),
        _ => None,
    };
    if let (Plain::Int(a), Plain::Int(b)) = (left, right) {
        let whole = match op {
            Op::Add => a.checked_add(*b),
            Op::Sub => a.checked_sub(*b),
            Op::Mul => a.checked_mul(*b),
            // As in the language, divisors are positive.
            Op::Div if *b > 0 => a.checked_div_euclid(*b),
            _ => None,
        };
        return whole.map(Plain::Int);
    }
    let (a, b) = (real(left)?, real(right)?);
    let value = match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        _ => return None,
    };
    Some(Plain::Real(value))
}

/// The selections behind `trains`.
pub(crate) fn trains_of<'a>(fit: &FitSettings<'a>) -> Option<Vec<&'a ast::Select>> {
    let selects = fit.trains.iter().filter_map(|expr| match &expr.kind {
        ast::ExprKind::Path(select) => Some(select),
        _ => None,
    });
    (!fit.trains.is_empty()).then(|| selects.collect())
}

/// Values named in the training program, for loss and metrics.
pub(crate) fn bind_lets<'a>(e: &mut Elaborator<'a>, fit: &FitSettings<'a>, scope: &Rc<Scope<'a>>) {
    for stmt in &fit.lets {
        let _: Val<'a> = e.statements(std::slice::from_ref(stmt), scope);
    }
}
