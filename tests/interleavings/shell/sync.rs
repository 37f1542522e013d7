//! What tokio offers to `work.rs`, in the words of loom: a queue without a bound, and a value that
//! is watched. A task is a thread here, so to wait is to block.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use loom::sync::{Arc, Condvar, Mutex};

pub(super) use loom::sync::atomic::{AtomicU64, Ordering};

/// A queue with one reader.
pub(super) struct Channel<T> {
    queue: Arc<Queue<T>>,
}

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    came: Condvar,
}

impl<T: 'static> Channel<T> {
    pub(super) fn new() -> Self {
        Self { queue: Arc::new(Queue { items: Mutex::new(VecDeque::new()), came: Condvar::new() }) }
    }

    /// A sender of what `wrap` makes an item of.
    pub(super) fn sender<U: 'static>(&self, wrap: fn(U) -> T) -> UnboundedSender<U> {
        let queue = Arc::clone(&self.queue);
        UnboundedSender {
            send: Box::new(move |item| {
                queue.items.lock().unwrap().push_back(wrap(item));
                queue.came.notify_one();
            }),
        }
    }

    pub(super) fn receive(&self) -> T {
        let mut items = self.queue.items.lock().unwrap();
        loop {
            match items.pop_front() {
                Some(item) => return item,
                None => items = self.queue.came.wait(items).unwrap(),
            }
        }
    }
}

/// Never full, as tokio's of that name.
pub(super) struct UnboundedSender<T> {
    send: Box<dyn Fn(T)>,
}

// Under loom one thread runs at a time, and what is sent is a value of its own.
impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UnboundedSender")
    }
}

impl<T> UnboundedSender<T> {
    pub(super) fn send(&self, item: T) -> Result<(), ()> {
        (self.send)(item);
        Ok(())
    }
}

/// The sending end of a value that is watched.
pub(super) struct Watch<T> {
    shared: Arc<watch::Shared<T>>,
}

impl<T: Copy> Watch<T> {
    pub(super) fn new(value: T) -> Self {
        Self { shared: Arc::new(watch::Shared { value: Mutex::new(value), moved: Condvar::new() }) }
    }

    pub(super) fn send(&self, value: T) {
        *self.shared.value.lock().unwrap() = value;
        self.shared.moved.notify_all();
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<T> {
        watch::Receiver { shared: Arc::clone(&self.shared) }
    }
}

pub(super) mod watch {
    use super::{Arc, Condvar, Mutex};

    pub(super) struct Shared<T> {
        pub(super) value: Mutex<T>,
        pub(super) moved: Condvar,
    }

    /// As tokio's of that name.
    pub(in super::super) struct Receiver<T> {
        pub(super) shared: Arc<Shared<T>>,
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Self {
            Self { shared: Arc::clone(&self.shared) }
        }
    }

    impl<T> std::fmt::Debug for Receiver<T> {
        fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("Receiver")
        }
    }

    impl<T: Copy> Receiver<T> {
        pub(in super::super) fn borrow(&self) -> T {
            *self.shared.value.lock().unwrap()
        }

        #[allow(clippy::unused_async, reason = "the real one waits, this one blocks")]
        pub(in super::super) async fn wait_for(
            &mut self,
            mut wanted: impl FnMut(&T) -> bool,
        ) -> Result<T, ()> {
            let mut value = self.shared.value.lock().unwrap();
            while !wanted(&value) {
                value = self.shared.moved.wait(value).unwrap();
            }
            Ok(*value)
        }
    }
}

/// Nothing that is waited for here is ever pending: it blocks instead.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should have blocked"),
    }
}
