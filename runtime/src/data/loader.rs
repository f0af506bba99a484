//! Prepares batches ahead on a thread of its own. Buffers go round between the two threads, so that a warm loader
//! allocates nothing; dropping the loader closes the channels, which ends the thread, and waits for it.

use super::DataError;
use super::batch::BatchBuffers;
use super::order::{Order, Position, Sampler};
use super::split::Samples;
use super::{Dataset, Feeding};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Batches prepared ahead of the one in use.
const AHEAD: usize = 2;

/// A batch and the position after it.
struct Batch {
    buffers: BatchBuffers,
    after: Position,
}

/// Hands out batches in order.
pub struct Loader {
    /// Nothing once the loader is being dropped.
    channels: Option<Channels>,
    thread: Option<JoinHandle<()>>,
    current: Option<Batch>,
    position: Position,
}

struct Channels {
    ready: Receiver<Result<Batch, DataError>>,
    spent: SyncSender<BatchBuffers>,
}

/// Where the samples of batches come from.
enum Source {
    Endless(Sampler),
    Pass { samples: Samples, next: u64 },
}

impl Source {
    /// Fills `indices` with the next samples, at most as many as its length; none ends the pass.
    fn draw(&mut self, size: usize, indices: &mut Vec<u64>) {
        indices.clear();
        match self {
            Source::Endless(sampler) => {
                indices.resize(size, 0);
                sampler.draw(indices);
            }
            Source::Pass { samples, next } => {
                let end = samples.pass_len().min(next.saturating_add(size as u64));
                indices.extend((*next..end).map(|k| samples.in_pass(k)));
                *next = end;
            }
        }
    }

    fn position(&self) -> Position {
        match self {
            Source::Endless(sampler) => sampler.position(),
            Source::Pass { next, .. } => Position { epoch: 0, drawn: *next },
        }
    }
}

impl Loader {
    /// The batches that training meets from a position on; `seed` is the run's, used where the data name none.
    ///
    /// The order depends on the seed and the data only: neither the batches prepared ahead nor a resumption change it.
    pub fn train(dataset: Arc<dyn Dataset>, feeding: &Feeding, seed: u64, from: Position) -> Loader {
        let seed = feeding.seed.unwrap_or(seed);
        let order = if feeding.shuffle { Order::Shuffled { seed } } else { Order::Sequential };
        let sampler = Sampler::new(dataset.split().train.clone(), order, from);
        Loader::endless(dataset, sampler, feeding.batch)
    }

    /// One pass over the held-out part; ends at once if nothing is held out.
    pub fn validate(dataset: Arc<dyn Dataset>, batch: usize) -> Loader {
        let samples = dataset.split().held_out.clone();
        Loader::pass(dataset, samples, batch)
    }

    /// Full batches without end, from the sampler's position.
    pub fn endless(dataset: Arc<dyn Dataset>, sampler: Sampler, batch: usize) -> Loader {
        Loader::start(dataset, Source::Endless(sampler), batch)
    }

    /// One pass over `samples` in their order: every item, or every full window. The last batch may be smaller.
    pub fn pass(dataset: Arc<dyn Dataset>, samples: Samples, batch: usize) -> Loader {
        Loader::start(dataset, Source::Pass { samples, next: 0 }, batch)
    }

    fn start(dataset: Arc<dyn Dataset>, source: Source, batch: usize) -> Loader {
        let batch = batch.max(1);
        let position = source.position();
        // One more than is prepared ahead: the batch in use.
        let (give_back, spent) = sync_channel(AHEAD + 1);
        let (hand_out, ready) = sync_channel(AHEAD + 1);
        for _ in 0..=AHEAD {
            give_back
                .try_send(BatchBuffers::new(dataset.fields(), batch))
                .expect("an empty channel has room");
        }
        let prepare = move || prepare(&*dataset, source, batch, &spent, &hand_out);
        let thread = std::thread::Builder::new().name("nnc-data".into()).spawn(prepare);
        let thread = thread.expect("the system can start a thread");
        let channels = Channels { ready, spent: give_back };
        Loader { channels: Some(channels), thread: Some(thread), current: None, position }
    }

    /// The next batch; `None` at the end of a pass. The batch before is taken back.
    pub fn next_batch(&mut self) -> Result<Option<&BatchBuffers>, DataError> {
        let channels = self.channels.as_ref().expect("channels are open until drop");
        if let Some(previous) = self.current.take() {
            // An error means that the pass is over and nobody needs the buffers.
            let _ = channels.spent.send(previous.buffers);
        }
        let Ok(batch) = channels.ready.recv() else { return Ok(None) };
        let batch = batch?;
        self.position = batch.after;
        Ok(Some(&self.current.insert(batch).buffers))
    }

    /// The position after the batch last handed out: a new loader that starts there continues with the next one.
    pub fn position(&self) -> Position {
        self.position
    }
}

/// Runs on the thread, until the pass or the loader ends.
fn prepare(
    dataset: &dyn Dataset,
    mut source: Source,
    size: usize,
    spent: &Receiver<BatchBuffers>,
    ready: &SyncSender<Result<Batch, DataError>>,
) {
    let mut indices = Vec::with_capacity(size);
    while let Ok(mut buffers) = spent.recv() {
        source.draw(size, &mut indices);
        if indices.is_empty() {
            return;
        }
        buffers.set_size(indices.len());
        let filled = dataset.batch(&indices, &mut buffers);
        let failed = filled.is_err();
        let batch = filled.map(|()| Batch { buffers, after: source.position() });
        if ready.send(batch).is_err() || failed {
            return;
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.channels = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; there is nothing left to do about it here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Facts, Field, Split};
    use nnc_ir::DType;
    use std::sync::Mutex;

    /// Sample `i` is the number `i`; fails at `broken`; notes the addresses of the buffers it was given.
    struct Numbers {
        fields: Vec<Field>,
        split: Split,
        broken: u64,
        buffers: Mutex<Vec<usize>>,
    }

    fn numbers(count: u64, broken: u64) -> Arc<Numbers> {
        let split = Split { train: Samples::Items(0..count), held_out: Samples::Items(0..0) };
        let fields = vec![Field::new("number", DType::U32, vec![])];
        Arc::new(Numbers { fields, split, broken, buffers: Mutex::default() })
    }

    impl Dataset for Numbers {
        fn fields(&self) -> &[Field] {
            &self.fields
        }
        fn len(&self) -> u64 {
            self.split.train.positions()
        }
        fn split(&self) -> &Split {
            &self.split
        }
        fn facts(&self) -> Facts {
            Facts::default()
        }
        fn batch(&self, indices: &[u64], out: &mut BatchBuffers) -> Result<(), DataError> {
            self.buffers.lock().unwrap().push(out.tensors_mut()[0].bytes().as_ptr() as usize);
            if indices.contains(&self.broken) {
                return Err(DataError::in_options("data::unreadable", "broken"));
            }
            let numbers = out.tensors_mut()[0].values_mut::<u32>().unwrap();
            numbers.iter_mut().zip(indices).for_each(|(number, index)| *number = *index as u32);
            Ok(())
        }
    }

    fn next(loader: &mut Loader) -> Vec<u32> {
        loader.next_batch().unwrap().unwrap().get("number").unwrap().values::<u32>().unwrap().to_vec()
    }

    fn endless(dataset: &Arc<Numbers>, from: Position) -> Loader {
        let sampler = Sampler::new(dataset.split.train.clone(), Order::Shuffled { seed: 8 }, from);
        Loader::endless(dataset.clone(), sampler, 3)
    }

    #[test]
    fn a_pass_has_every_sample_and_ends() {
        let dataset = numbers(7, 99);
        let mut loader = Loader::pass(dataset.clone(), dataset.split.train.clone(), 3);
        assert_eq!([next(&mut loader), next(&mut loader), next(&mut loader)].concat(), [0, 1, 2, 3, 4, 5, 6]);
        assert!(loader.next_batch().unwrap().is_none() && loader.next_batch().unwrap().is_none());
    }

    #[test]
    fn the_position_counts_batches_handed_out_not_prepared() {
        let dataset = numbers(10, 99);
        let mut whole = endless(&dataset, Position::default());
        let expected: Vec<_> = (0..8).map(|_| next(&mut whole)).collect();
        let mut first = endless(&dataset, Position::default());
        (0..5).for_each(|_| drop(next(&mut first)));
        assert_eq!(first.position(), Position { epoch: 1, drawn: 5 });
        let mut resumed = endless(&dataset, first.position());
        assert_eq!([next(&mut resumed), next(&mut resumed), next(&mut resumed)], expected[5..]);
    }

    #[test]
    fn the_seed_of_the_data_comes_before_that_of_the_run() {
        let first = |feeding: Feeding, run| {
            next(&mut Loader::train(numbers(50, 99), &feeding, run, Position::default()))
        };
        let feeding = |shuffle, seed| Feeding { batch: 20, shuffle, seed };
        assert_eq!(first(feeding(true, Some(1)), 2), first(feeding(true, None), 1));
        assert_ne!(first(feeding(true, None), 2), first(feeding(true, None), 1));
        assert_eq!(first(feeding(false, None), 2), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_held_out_ends_validation_at_once() {
        assert!(Loader::validate(numbers(5, 99), 2).next_batch().unwrap().is_none());
    }

    #[test]
    fn buffers_go_round() {
        let dataset = numbers(100, 999);
        let mut loader = endless(&dataset, Position::default());
        (0..50).for_each(|_| drop(next(&mut loader)));
        drop(loader);
        let mut addresses = dataset.buffers.lock().unwrap().clone();
        assert!(addresses.len() >= 50);
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), AHEAD + 1);
    }

    #[test]
    fn an_error_of_the_data_set_reaches_the_caller_and_ends_the_loader() {
        let dataset = numbers(9, 4);
        let mut loader = Loader::pass(dataset.clone(), dataset.split.train.clone(), 3);
        assert_eq!(next(&mut loader), [0, 1, 2]);
        assert_eq!(loader.next_batch().unwrap_err().message, "broken");
        assert!(loader.next_batch().unwrap().is_none());
    }

    #[test]
    fn dropping_a_loader_ends_its_thread() {
        let dataset = numbers(9, 99);
        let loader = endless(&dataset, Position::default());
        drop(loader);
        assert_eq!(Arc::strong_count(&dataset), 1, "the thread has let go of the data set");
    }
}
