//! The connections that are served, in a bounded table, and which of them makes room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{AbortHandle, JoinSet};

use super::connection::Connection;
use super::node_view::NodeView;

/// The connections there are, oldest first.
#[derive(Default)]
pub(super) struct ConnectionTable {
    tasks: JoinSet<u64>,
    entries: BTreeMap<u64, Entry>,
    by_task: BTreeMap<tokio::task::Id, u64>,
    next: u64,
}

struct Entry {
    abort: AbortHandle,
    busy: Arc<AtomicBool>,
}

impl ConnectionTable {
    /// Has `connection` served, if there is room for it.
    pub(super) fn add<V, F, T>(&mut self, connection: Connection<V>, serve: F)
    where
        V: NodeView,
        F: FnOnce(Connection<V>) -> T,
        T: Future<Output = ()> + Send + 'static,
    {
        if !self.make_room(connection.options.connections_max) {
            return;
        }
        let number = self.next;
        self.next += 1;
        let busy = Arc::clone(&connection.busy);
        let served = serve(connection);
        let abort = self.tasks.spawn(async move {
            served.await;
            number
        });
        self.by_task.insert(abort.id(), number);
        self.entries.insert(number, Entry { abort, busy });
    }

    /// Whether there is room for one more; an idle connection may have been dropped for it.
    fn make_room(&mut self, connections_max: usize) -> bool {
        self.entries.len() < connections_max || self.drop_oldest_idle()
    }

    /// Whether a connection that answers nothing was dropped.
    pub(super) fn drop_oldest_idle(&mut self) -> bool {
        let idle = self.entries.iter().find(|(_, entry)| !entry.busy.load(Ordering::Relaxed));
        let number = idle.map(|(number, _)| *number);
        number.is_some_and(|number| self.drop_one(number))
    }

    /// Whether any connection was dropped.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let number = self.entries.keys().next().copied();
        number.is_some_and(|number| self.drop_one(number))
    }

    fn drop_one(&mut self, number: u64) -> bool {
        let entry = self.entries.remove(&number);
        entry.is_some_and(|entry| {
            entry.abort.abort();
            true
        })
    }

    /// Waits until a connection has ended, and forgets it; none if there are none. Nothing is
    /// lost if it is not waited for.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let task = match self.tasks.join_next_with_id().await? {
            Ok((task, _)) => task,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "an HTTP connection ended in a panic");
                }
                error.id()
            }
        };
        if let Some(number) = self.by_task.remove(&task) {
            self.entries.remove(&number);
        }
        Some(())
    }
}
