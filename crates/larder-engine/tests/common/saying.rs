//! A source whose loader says something of what it loads.

use std::sync::Arc;

use larder_core::{LoadContext, LoadError, Source};
use larder_test::TestSource;

type Say = Arc<dyn Fn(u64, &LoadContext) + Send + Sync>;

/// A [`TestSource`] with a loader in front that speaks to the context of each key, once the
/// answer is there: what is said comes as late as it can.
pub(crate) struct Saying {
    source: TestSource<u64, u64>,
    say: Say,
}

impl Saying {
    pub(crate) fn new(
        source: TestSource<u64, u64>,
        say: impl Fn(u64, &LoadContext) + Send + Sync + 'static,
    ) -> Self {
        Self { source, say: Arc::new(say) }
    }
}

impl Source<u64, u64> for Saying {
    async fn load(&self, key: &u64, context: &mut LoadContext) -> Result<Option<u64>, LoadError> {
        let value = self.source.load(key, context).await?;
        (self.say)(*key, context);
        Ok(value)
    }

    async fn load_many(
        &self,
        keys: &[u64],
        context: &mut LoadContext,
    ) -> Result<Vec<Option<u64>>, LoadError> {
        let values = self.source.load_many(keys, context).await?;
        for (at, key) in keys.iter().enumerate() {
            (self.say)(*key, &context.key(at));
        }
        Ok(values)
    }

    fn batch_max(&self) -> usize {
        self.source.batch_max()
    }
}
