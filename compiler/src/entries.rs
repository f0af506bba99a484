//! The entries of a model: what a runtime calls. Each is one elaboration; slots are shared by path.

use crate::elaborate::axes::Axis;
use crate::elaborate::values::{Recipe, Scope, Tensor, Val};
use crate::elaborate::{Elaborator, Mode};
use crate::program::Program;
use crate::settings::{FitSettings, settings_of, trains_of};
use crate::starts::init_entry;
use crate::world::{DataInfo, DataSource, World};
use nnc_base::{Diagnostic, Span};
use nnc_grammar::syntax as ast;
use nnc_ir::graph::{Entry, Function, Module, Port, Size, Slot, SlotKind};
use nnc_ir::plan::Guard;
use nnc_ir::training::{DEFAULT_HELD_OUT, Training};
use nnc_ir::{DType, Dim, Type, Value, ops};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

/// A model as the tensor IR, with what its training program says.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// The model's name.
    pub model: String,
    /// The entries: `init`, `forward`, `session` if there are caches, and for each fit `step` and `evaluate`.
    pub module: Module,
    /// Facts to check once per call, by entry name.
    pub guards: Vec<(String, Guard)>,
    /// The training program, if the file has one.
    pub training: Option<Training>,
    /// Names of the model's inputs.
    pub inputs: Vec<String>,
    /// Names of the model's outputs.
    pub outputs: Vec<String>,
    /// Where each weight is written, for messages.
    pub spans: Vec<(String, Span)>,
    /// Weights no gradient reaches on purpose.
    pub frozen: Vec<String>,
    /// What is applied where, by entry.
    pub regions: BTreeMap<String, Vec<crate::elaborate::regions::Region>>,
    /// Warnings.
    pub warnings: Vec<Diagnostic>,
}

/// Settings from outside: `--param d=256`, `--steps 100`.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Arguments of the model by name.
    pub params: Vec<(String, String)>,
    /// Steps of every fit.
    pub steps: Option<i64>,
    /// The model to build, where a file has several.
    pub model: Option<String>,
    /// Whether a file may have declarations only: a module that others use.
    pub module: bool,
}

/// Elaborates a loaded program.
pub fn build(program: &Program, overrides: &Overrides, world: &dyn World) -> Result<Built, Vec<Diagnostic>> {
    let mut task = Task {
        program,
        overrides,
        world,
        built: Built::default(),
        diagnostics: Vec::new(),
        used: HashSet::new(),
        precision: DType::F32,
    };
    task.run();
    task.diagnostics.extend(crate::resolve::resolve(program));
    if task.diagnostics.is_empty() {
        task.try_unused();
    }
    // What is broken in the text hides nothing of the rest: both are told together.
    task.diagnostics.extend(program.diagnostics.iter().cloned());
    let errors = task.diagnostics.iter().any(|d| d.severity == nnc_base::Severity::Error);
    if errors {
        return Err(dedup(task.diagnostics));
    }
    task.built.warnings = dedup(task.diagnostics);
    Ok(task.built)
}

fn dedup(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut kept: Vec<Diagnostic> = Vec::new();
    for diagnostic in diagnostics {
        let span = |d: &Diagnostic| d.labels.first().map(|l| l.span);
        // A call and its name are one place for what is wrong with its arguments or role.
        let whole = diagnostic.code.starts_with("role::") || diagnostic.code == "name::argument";
        let same = |d: &Diagnostic| {
            d.code == diagnostic.code
                && match (span(d), span(&diagnostic)) {
                    (Some(a), Some(b)) => a == b || whole && a.source == b.source && a.start == b.start,
                    (a, b) => a == b,
                }
        };
        if !kept.iter().any(same) {
            kept.push(diagnostic);
        }
    }
    kept.sort_by_key(|d| d.labels.first().map(|l| l.span));
    kept
}

/// Which entry is built.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Forward,
    Session,
    Step,
    /// A micro-batch that only adds to the gradients.
    Accumulate,
    Evaluate,
}

/// The entries of one fit.
struct Names {
    step: String,
    accumulate: Option<String>,
    evaluate: String,
}

struct Task<'p> {
    program: &'p Program,
    overrides: &'p Overrides,
    world: &'p dyn World,
    built: Built,
    diagnostics: Vec<Diagnostic>,
    used: HashSet<Span>,
    precision: DType,
}

/// The model an entry is built for: its declaration, settings and sheets.
struct Subject<'a> {
    decl: &'a ast::Decl,
    source: usize,
    args: Vec<(Rc<str>, Val<'a>)>,
    span: Span,
}

impl<'p> Task<'p> {
    fn run(&mut self) {
        let program: &'p Program = self.program;
        let train = program.trains().next();
        if program.trains().count() > 1 {
            let second = program.trains().nth(1).expect("there are two");
            self.diagnostics.push(
                Diagnostic::error("train::many", second.model.span, "a file holds one training program")
                    .help("put the second into a file of its own"),
            );
            return;
        }
        let models = program.declarations().any(|(_, decl)| decl.kind == ast::DeclKind::Model);
        let declares = program.functions().next().is_some() || program.declarations().next().is_some();
        if self.overrides.module && declares && train.is_none() && !models {
            return;
        }
        let fits = match train.map(|train| settings_of(train, self.overrides)) {
            Some(Ok(fits)) => fits,
            Some(Err(found)) => {
                self.diagnostics.extend(found);
                Vec::new()
            }
            None => Vec::new(),
        };
        // Weights have one precision: the model runs in the one it is trained in.
        self.precision = fits.first().map_or(DType::F32, |fit| fit.precision);
        self.entry("forward", Kind::Forward, train, None);
        if !self.diagnostics.is_empty() {
            return;
        }
        if self.built.module.slots.iter().any(|s| s.kind == SlotKind::Cache) || self.has_caches() {
            self.entry("session", Kind::Session, train, None);
        }
        let Some(train) = train else { return };
        let mut training = Training { model: self.model_name(train), fits: Vec::new() };
        for (place, fit) in fits.iter().enumerate() {
            let suffix = if place == 0 { String::new() } else { format!("_{}", place + 1) };
            let named = |kind: &str| format!("{kind}{suffix}");
            let accumulate = (fit.accumulate > 1).then(|| named("accumulate"));
            let names = Names { step: named("step"), accumulate, evaluate: named("evaluate") };
            if let Some(name) = &names.accumulate {
                self.entry(name, Kind::Accumulate, Some(train), Some(fit));
            }
            self.entry(&names.step, Kind::Step, Some(train), Some(fit));
            self.entry(&names.evaluate, Kind::Evaluate, Some(train), Some(fit));
            if !self.diagnostics.iter().any(|d| d.severity == nnc_base::Severity::Error) {
                training.fits.push(self.fit(fit, names));
            }
        }
        self.built.training = Some(training);
    }

    /// Tries declarations of the user that nothing has applied.
    fn try_unused(&mut self) {
        for (place, source) in self.program.sources.iter().enumerate().filter(|(_, s)| !s.library) {
            for item in &source.syntax.items {
                let name = crate::program::item_name(item).map(|(_, span)| span);
                if name.is_some_and(|span| !self.used.contains(&span)) {
                    self.diagnostics.extend(crate::elaborate::trial::try_declaration(
                        self.program,
                        item,
                        place,
                    ));
                }
            }
        }
    }

    fn model_name(&self, train: &ast::Train) -> String {
        crate::elaborate::expression_text(&train.model)
    }

    fn has_caches(&self) -> bool {
        fn body(stmts: &[ast::Stmt]) -> bool {
            stmts
                .iter()
                .any(|s| matches!(&s.kind, ast::StmtKind::Slot(slot) if slot.kind == ast::SlotKind::Cache))
        }
        let items = self.program.sources.iter().flat_map(|s| &s.syntax.items);
        items
            .into_iter()
            .any(|item| matches!(&item.kind, ast::ItemKind::Decl(decl) if body(&decl.body.stmts)))
    }

    fn fit(&self, fit: &FitSettings<'_>, names: Names) -> nnc_ir::training::Fit {
        let outputs = |name: &str| -> Vec<String> {
            let entry = self.built.module.entry(name);
            let named = entry.iter().flat_map(|e| &e.outputs).filter_map(|port| match port {
                Port::Named(name) => Some(name.clone()),
                Port::Slot(_) => None,
            });
            named.filter(|n| n != "loss" && n != "grad_norm").collect()
        };
        nnc_ir::training::Fit {
            data: fit.data.clone(),
            steps: self.steps(fit),
            accumulate: fit.accumulate,
            shuffle: fit.shuffle,
            held_out: fit.held_out,
            evaluate_every: fit.evaluate_every,
            patience: fit.patience,
            checkpoint_every: fit.checkpoint_every,
            log_every: fit.log_every,
            metrics: outputs(&names.evaluate),
            penalties: outputs(&names.step),
            step_entry: names.step,
            accumulate_entry: names.accumulate,
            evaluate_entry: names.evaluate,
        }
    }

    fn steps(&self, fit: &FitSettings<'_>) -> i64 {
        if let Some(steps) = self.overrides.steps.or(fit.steps) {
            return steps;
        }
        let samples = self.world.data(&fit.data).map_or(0, |info| info.samples);
        let held_out = fit.held_out.unwrap_or(DEFAULT_HELD_OUT);
        let train = samples as i64 - (samples as f64 * held_out).round() as i64;
        let per_step = fit.data.batch().saturating_mul(fit.accumulate.max(1));
        fit.epochs.unwrap_or(1).saturating_mul((train / per_step).max(1))
    }

    fn entry(
        &mut self,
        name: &str,
        kind: Kind,
        train: Option<&'p ast::Train>,
        fit: Option<&FitSettings<'p>>,
    ) {
        let training = matches!(kind, Kind::Step | Kind::Accumulate);
        let mode = Mode { training, session: kind == Kind::Session };
        let mut e = Elaborator::new(self.program, mode, self.precision);
        e.micro = if training { fit.map_or(1, |fit| fit.accumulate) } else { 1 };
        let outputs = self.elaborate(&mut e, kind, train, fit);
        if kind == Kind::Forward && e.diagnostics.is_empty() {
            self.check_sheets(&mut e);
        }
        self.diagnostics.append(&mut e.diagnostics);
        self.used.extend(e.used.iter().copied());
        let Some(outputs) = outputs else { return };
        if self.diagnostics.iter().any(|d| d.severity == nnc_base::Severity::Error) {
            return;
        }
        self.install(name, e, outputs);
    }

    fn check_sheets(&mut self, e: &mut Elaborator<'p>) {
        for (rule, paths) in e.unmatched() {
            let text: Vec<String> = rule.selects.iter().map(crate::elaborate::select_text).collect();
            let message = format!("`{}` selects nothing", text.join(", "));
            let near = crate::nearest(text[0].trim_start_matches("**."), paths.iter().map(String::as_str));
            let mut diagnostic = Diagnostic::error("path::nothing", rule.selects[0].span, message);
            diagnostic = match near {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!(
                    "there are, for example: {}",
                    paths.iter().take(4).cloned().collect::<Vec<_>>().join(", ")
                )),
            };
            self.diagnostics.push(diagnostic);
        }
    }

    /// Builds the function's nodes; yields its results.
    fn elaborate(
        &mut self,
        e: &mut Elaborator<'p>,
        kind: Kind,
        train: Option<&'p ast::Train>,
        fit: Option<&FitSettings<'p>>,
    ) -> Option<Vec<(Port, Value)>> {
        let subject = self.subject(e, train)?;
        let steps = fit.map(|fit| self.steps(fit));
        if let Some(steps) = steps {
            e.given.push((Rc::from("steps"), Val::int(steps)));
        }
        let inputs = self.inputs(e, &subject)?;
        let data = fit.and_then(|fit| self.data_record(e, fit, &inputs));
        let result = e.run_model(subject.decl, subject.source, &subject.args, inputs, subject.span);
        let Val::Record(members) = &result else { return None };
        if kind == Kind::Forward {
            self.built.model = subject.decl.name.text.clone();
            self.built.inputs = crate::elaborate::slot_names(subject.decl, ast::SlotKind::Input);
            self.built.outputs = members.iter().map(|m| m.0.to_string()).collect();
        }
        let Some(fit) = fit else {
            let mut results = Vec::new();
            for (name, value) in members.iter() {
                results.push((Port::Named(name.to_string()), value.tensor()?.value));
            }
            results.extend(e.written_slots(kind == Kind::Session));
            return Some(results);
        };
        let scope = e.train_scope(&result, data, steps.unwrap_or(0));
        crate::settings::bind_lets(e, fit, &scope);
        let loss = self.loss(e, fit, &scope)?;
        match kind {
            Kind::Evaluate => {
                let mut results = vec![(Port::Named("loss".into()), loss)];
                for (name, expr) in &fit.metrics {
                    results.push((Port::Named(name.clone()), self.number(e, expr, &scope, "a metric")?));
                }
                Some(results)
            }
            _ => self.step(e, fit, kind, &scope, loss, train),
        }
    }

    fn subject(&mut self, e: &mut Elaborator<'p>, train: Option<&'p ast::Train>) -> Option<Subject<'p>> {
        let scope = Scope::root(0);
        let value = match train {
            Some(train) => e.expr(&train.model, &scope),
            None => {
                let models: Vec<_> =
                    self.program.declarations().filter(|(_, d)| d.kind == ast::DeclKind::Model).collect();
                let wanted = self.overrides.model.as_deref();
                let found = match wanted {
                    Some(name) => models.iter().find(|(_, d)| d.name.text == name),
                    None => models.last(),
                };
                match found {
                    Some((at, _)) => e.global(*at),
                    None => {
                        let span =
                            self.program.sources[0].syntax.items.first().map(|i| i.span).unwrap_or_default();
                        // A broken item may be the model.
                        if !self.program.sources[0].syntax.errors.is_empty() {
                            return None;
                        }
                        let message = "this file has no model".to_string();
                        e.report(
                            Diagnostic::error("role::model", span, message).help("add `model Name() { .. }`"),
                        );
                        return None;
                    }
                }
            }
        };
        self.unwrap_model(e, value, train.map(|t| t.model.span).unwrap_or_default())
    }

    fn unwrap_model(&mut self, e: &mut Elaborator<'p>, value: Val<'p>, span: Span) -> Option<Subject<'p>> {
        let mut value = value;
        loop {
            let Val::Recipe(recipe) = &value else {
                if !value.is_unknown() {
                    let message = format!("a model is trained, not {}", value.describe());
                    e.report(Diagnostic::error("role::wrong", span, message));
                }
                return None;
            };
            match &**recipe {
                Recipe::With { base, sheet } => {
                    e.sheets.push((Rc::from(""), sheet.clone()));
                    let next = base.clone();
                    value = next;
                }
                Recipe::Decl { decl, source, args, .. } if decl.kind == ast::DeclKind::Model => {
                    let args = self.override_params(e, decl, args, *source)?;
                    return Some(Subject { decl, source: *source, args, span: decl.name.span });
                }
                _ => {
                    let message = format!("a model is trained, not {}", value.describe());
                    e.report(Diagnostic::error("role::wrong", span, message));
                    return None;
                }
            }
        }
    }

    fn override_params(
        &mut self,
        e: &mut Elaborator<'p>,
        decl: &'p ast::Decl,
        args: &[(Rc<str>, Val<'p>)],
        source: usize,
    ) -> Option<Vec<(Rc<str>, Val<'p>)>> {
        let params = decl.params.as_deref().unwrap_or_default();
        let mut bound = args.to_vec();
        if bound.is_empty() && !params.is_empty() {
            let scope = Scope::root(source);
            if !e.bind_params(params, &[], &scope, &decl.name.text, decl.name.span) {
                return None;
            }
            for param in params {
                let value = e.read_name(&param.name.text, param.span, &scope);
                bound.push((Rc::from(param.name.text.as_str()), value));
            }
        }
        for (name, text) in &self.overrides.params {
            let Some(entry) = bound.iter_mut().find(|(known, _)| **known == **name) else {
                let all: Vec<&str> = params.iter().map(|p| p.name.text.as_str()).collect();
                let message =
                    format!("`{}` has no parameter `{name}`; it has {}", decl.name.text, all.join(", "));
                e.report(Diagnostic::error("name::argument", decl.name.span, message));
                return None;
            };
            let real = matches!(entry.1, Val::Real(_));
            let plain = matches!(entry.1, Val::Int(_) | Val::Real(_) | Val::Bool(_) | Val::List(_));
            let given = match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(items) => {
                    let items = items.split(',').map(str::trim).filter(|item| !item.is_empty());
                    Val::List(Rc::new(items.map(|item| plain_value(item, real)).collect()))
                }
                None => plain_value(text, real),
            };
            if plain && matches!(given, Val::Text(_)) {
                let message = format!("`{name}` is {}, and cannot be `{text}`", entry.1.describe());
                e.report(Diagnostic::error("type::value", decl.name.span, message));
                return None;
            }
            entry.1 = given;
        }
        Some(bound)
    }

    /// Parameters of the entry for the model's inputs.
    #[allow(clippy::type_complexity)]
    fn inputs(&mut self, e: &mut Elaborator<'p>, subject: &Subject<'p>) -> Option<Vec<(Rc<str>, Val<'p>)>> {
        let scope = Scope::root(subject.source);
        subject.args.iter().for_each(|(name, value)| scope.set(name, value.clone()));
        let mut inputs = Vec::new();
        for slot in crate::elaborate::slots_of(subject.decl, ast::SlotKind::Input) {
            let Some(ty) = &slot.ty else {
                let message = format!("input `{}` has no type", slot.name.text);
                e.report(
                    Diagnostic::error("dim::free", slot.name.span, message).help("write `input x: [B, ..]`"),
                );
                return None;
            };
            let tensor = e.input(&slot.name.text, ty, &scope)?;
            inputs.push((Rc::from(slot.name.text.as_str()), Val::Tensor(tensor)));
        }
        Some(inputs)
    }

    /// The record `data`: the model's inputs, and the other fields of the source.
    fn data_record(
        &mut self,
        e: &mut Elaborator<'p>,
        fit: &FitSettings<'p>,
        inputs: &[(Rc<str>, Val<'p>)],
    ) -> Option<Val<'p>> {
        let mut members: Vec<(Rc<str>, Val<'p>)> = inputs.to_vec();
        let first = inputs.first().and_then(|(_, v)| v.tensor().cloned());
        let info = self.world.data(&fit.data).or_else(|| signature(&fit.data));
        for field in info.iter().flat_map(|info| &info.fields) {
            if members.iter().any(|(name, _)| **name == *field.name) {
                continue;
            }
            let batch = first.as_ref().and_then(|t| t.axes.first().cloned());
            let batch = batch.unwrap_or_else(|| Axis::named("B", e.run_time_size("B")));
            // A text's targets have the axes of its tokens.
            let axes = match (&first, fit.data.kind.as_str()) {
                (Some(tokens), "text") => tokens.axes.clone(),
                _ => std::iter::once(batch)
                    .chain(field.shape.iter().map(|n| Axis::sized(Dim::from(*n))))
                    .collect(),
            };
            let shape = axes.iter().map(|a| a.size.clone()).collect();
            let value = e.entry_param(Port::Named(field.name.clone()), Type::new(field.dtype, shape));
            let bound = field.classes.filter(|_| field.dtype.is_int()).map(Dim::from);
            members.push((Rc::from(field.name.as_str()), Val::Tensor(Tensor { value, axes, bound })));
        }
        if let Some(info) = self.world.data(&fit.data) {
            for (name, value) in inputs {
                self.check_classes(e, fit, &info, name, value);
                if !info.fields.iter().any(|f| *f.name == **name) {
                    let all: Vec<&str> = info.fields.iter().map(|f| f.name.as_str()).collect();
                    let message = format!("the model needs `{name}`; the data give {}", all.join(", "));
                    e.report(
                        Diagnostic::error("train::input", fit.data_span, message).help("rename the input"),
                    );
                }
            }
        }
        Some(Val::Record(Rc::new(members)))
    }

    /// Data must not hold more different integers than the model's `index(n)` allows.
    fn check_classes(
        &mut self,
        e: &mut Elaborator<'p>,
        fit: &FitSettings<'p>,
        info: &DataInfo,
        name: &str,
        value: &Val<'p>,
    ) {
        let classes = info.fields.iter().find(|f| f.name == name).and_then(|f| f.classes);
        let bound = value.tensor().and_then(|t| t.bound.as_ref()).and_then(Dim::as_constant);
        if let (Some(classes), Some(bound)) = (classes, bound)
            && classes as i64 > bound
        {
            let message =
                format!("`{name}` of the data reaches {}, the model takes 0 to {}", classes - 1, bound - 1);
            let help =
                format!("raise the bound of `{name}` to {classes}, for example by `--param NAME={classes}`");
            e.report(Diagnostic::error("train::classes", fit.data_span, message).help(help));
        }
    }

    fn loss(
        &mut self,
        e: &mut Elaborator<'p>,
        fit: &FitSettings<'p>,
        scope: &Rc<Scope<'p>>,
    ) -> Option<Value> {
        let Some(expr) = fit.loss else {
            e.report(
                Diagnostic::error("train::loss", fit.span, "nothing says what to minimize")
                    .help("add `loss = ..`"),
            );
            return None;
        };
        self.number(e, expr, scope, "the loss")
    }

    fn number(
        &mut self,
        e: &mut Elaborator<'p>,
        expr: &'p ast::Expr,
        scope: &Rc<Scope<'p>>,
        what: &str,
    ) -> Option<Value> {
        match e.expr(expr, scope) {
            Val::Tensor(t) if t.axes.is_empty() && e.is_float(&t) => Some(e.b.cast(t.value, DType::F32)),
            Val::Unknown => None,
            other => {
                let message = format!("{what} is {}, not a number", other.describe());
                e.report(Diagnostic::error("type::value", expr.span, message).help("take its mean"));
                None
            }
        }
    }

    /// Gradients, clipping, updates.
    fn step(
        &mut self,
        e: &mut Elaborator<'p>,
        fit: &FitSettings<'p>,
        kind: Kind,
        scope: &Rc<Scope<'p>>,
        loss: Value,
        train: Option<&'p ast::Train>,
    ) -> Option<Vec<(Port, Value)>> {
        let mut results = vec![(Port::Named("loss".into()), loss)];
        let mut total = loss;
        for (name, value) in e.penalties.clone() {
            total = e.b.add(total, value);
            // Blocks of one kind add to one penalty.
            match results.iter_mut().find(|(port, _)| *port == Port::Named(name.clone())) {
                Some((_, sum)) => *sum = e.b.add(*sum, value),
                None => results.push((Port::Named(name), value)),
            }
        }
        let optimizer = match fit.optimizer {
            Some(expr) => {
                let value = e.expr(expr, scope);
                Some(e.policy(&value, expr.span)?)
            }
            None => None,
        };
        let trained = e.trained(trains_of(fit).as_deref());
        if trained.is_empty() {
            let span = train.map(|t| t.model.span).unwrap_or_default();
            e.report(
                Diagnostic::error("train::idle", span, "this trains nothing").help("every weight is frozen"),
            );
            return None;
        }
        e.attach_optimizer(&trained, optimizer, fit.span)?;
        e.check_penalties(&trained, fit.span);
        let gradients = e.gradients(total, &trained)?;
        let t = e.step_value();
        let mut gradients = e.free_gradients(&trained, gradients, t);
        let mut sums = Vec::new();
        if fit.accumulate > 1 {
            (gradients, sums) = e.summed_gradients(&trained, gradients);
            // One broken loss breaks the sum, and with it the step.
            let (sum, port) = e.summed("loss.sum", total, fit.span);
            let kept = if kind == Kind::Accumulate { sum } else { e.b.fill_like(0.0, sum) };
            results.push((port, kept));
            total = sum;
        }
        let finite = e.is_finite(total);
        e.keep_written_where(&finite);
        if kind == Kind::Accumulate {
            results.extend(sums.into_iter().zip(gradients));
            results.extend(e.written_slots(false));
            return Some(results);
        }
        let empty: Vec<Value> = gradients.iter().map(|g| e.b.fill_like(0.0, *g)).collect();
        results.extend(sums.into_iter().zip(empty));
        let (gradients, norm) = e.clip(gradients, fit.clip);
        e.writes_where = vec![finite];
        if let Some(norm) = norm {
            results.push((Port::Named("grad_norm".into()), norm));
            // A finite loss may have a gradient that is not.
            let both = e.b.add(total, norm);
            e.writes_where = vec![e.is_finite(both)];
        }
        for (slot, gradient) in trained.iter().zip(gradients) {
            e.update(*slot, gradient, t);
        }
        results.extend(e.written_slots(false));
        Some(results)
    }

    /// Adds a finished elaboration to the module.
    fn install(&mut self, name: &str, e: Elaborator<'p>, outputs: Vec<(Port, Value)>) {
        let done = e.finish(outputs);
        for symbol in done.symbols {
            if !self.built.module.sizes.iter().any(|s| s.symbol == symbol) {
                self.built.module.sizes.push(Size { symbol, min: 1, max: None, multiple: 1 });
            }
        }
        let new = self.slots(&done.slots);
        let remap = |port: Port| match port {
            Port::Slot(slot) => Port::Slot(new[slot]),
            named => named,
        };
        self.built.guards.extend(done.guards.into_iter().map(|guard| (name.to_string(), guard)));
        let known: HashSet<String> = self.built.spans.iter().map(|(key, _)| key.clone()).collect();
        self.built.spans.extend(done.spans.into_iter().filter(|(key, _)| !known.contains(key)));
        let known: HashSet<String> = self.built.frozen.iter().cloned().collect();
        self.built.frozen.extend(done.frozen.into_iter().filter(|key| !known.contains(key)));
        self.built.regions.insert(name.to_string(), done.regions);
        let starts: Vec<(usize, crate::starts::SlotStart)> = new.iter().copied().zip(done.starts).collect();
        let entry = Entry {
            name: name.to_string(),
            inputs: done.inputs.into_iter().map(remap).collect(),
            outputs: done.outputs.into_iter().map(remap).collect(),
            function: done.function,
        };
        self.diagnostics.extend(init_entry(&mut self.built.module, &entry, &starts));
        self.built.module.entries.push(entry);
    }

    /// The module's numbers of an entry's slots; those it does not know yet are added.
    fn slots(&mut self, slots: &[Slot]) -> Vec<usize> {
        let all = &mut self.built.module.slots;
        let mut known: HashMap<String, usize> =
            all.iter().enumerate().map(|(place, slot)| (slot.path.clone(), place)).collect();
        let mut number = |slot: &Slot| {
            *known.entry(slot.path.clone()).or_insert_with(|| {
                all.push(slot.clone());
                all.len() - 1
            })
        };
        slots.iter().map(&mut number).collect()
    }
}

/// A setting from the command line: a truth value, a number, or text.
fn plain_value<'a>(text: &str, real: bool) -> Val<'a> {
    match (text, text.parse::<i64>(), text.parse::<f64>()) {
        ("true", ..) => Val::Bool(true),
        ("false", ..) => Val::Bool(false),
        (_, Ok(n), _) if real => Val::Real(n as f64),
        (_, Ok(n), _) => Val::int(n),
        (_, _, Ok(x)) => Val::Real(x),
        _ => Val::text(text),
    }
}

/// What readers deliver when the data cannot be opened now.
fn signature(source: &DataSource) -> Option<DataInfo> {
    let field = |name: &str, dtype| crate::world::DataField {
        name: name.into(),
        dtype,
        shape: Vec::new(),
        classes: None,
    };
    let fields = match source.kind.as_str() {
        "text" => vec![field("token", DType::I32), field("next", DType::I32)],
        "idx" => vec![field("label", DType::I32)],
        "csv" => vec![field("target", DType::F32)],
        _ => return None,
    };
    Some(DataInfo { fields, samples: 0 })
}

/// A function whose results are what `outputs` name.
pub(crate) fn finished(b: nnc_ir::Builder, outputs: &[(Port, Value)]) -> Function {
    b.finish(outputs.iter().map(|(_, value)| *value).collect())
}

/// Square root of the sum of squares of all gradients.
pub(crate) fn global_norm(b: &mut nnc_ir::Builder, gradients: &[Value]) -> Option<Value> {
    let mut total: Option<Value> = None;
    for gradient in gradients {
        let g = b.cast(*gradient, DType::F32);
        let square = b.mul(g, g);
        let rank = b.ty(square).rank();
        let sum = b.sum(square, (0..rank).collect());
        total = Some(match total {
            Some(before) => b.add(before, sum),
            None => sum,
        });
    }
    total.map(|total| b.apply(ops::Sqrt, &[total]))
}
