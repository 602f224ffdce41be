//! Loads plugins: from memory, from the compile cache, or by compiling them.
//!
//! Two tiers of code may exist for a plugin, each with an engine of its own. The optimised one is taken if it is there;
//! the quick one is made first where the optimised one takes long, and replaced when that is done.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use oxide_core::{plugin::PluginDescription, protocol::LogStream, quantity};
use tokio::{
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
};
use wasmtime::{
    Engine,
    component::{Component, Linker},
};

use crate::{
    cache::{Cache, remove_source},
    capability,
    compile::{ChildCompiler, Compiler, Order, first_tier, in_this_process, parent},
    describe::DescribeError,
    engine::{Tier, new_engine},
    environment::LogSink,
    load_error::LoadError,
    plugin::Plugin,
    runtime::{PluginToLoad, RuntimeConfig, RuntimeError},
    state::State,
    wasi,
};

/// A compilation that takes longer is told to the log, also if the component is small.
const QUIET_TIME: Duration = Duration::from_secs(2);

/// How many processes make better code in the background.
const IN_BACKGROUND: usize = 1;

/// What one compiler's code needs to be loaded and run.
struct TierParts {
    engine: Engine,
    wasi: Linker<State>,
    cache: Cache,
}

/// Everything that loading needs.
pub(crate) struct Loader {
    optimised: TierParts,
    /// Made when it is first needed; none where this machine has no quick compiler.
    quick: OnceLock<Option<TierParts>>,
    compiler: Compiler,
    in_process: Tier,
    plugins: Mutex<HashMap<String, Arc<OnceCell<Arc<Plugin>>>>>,
    background: Arc<Semaphore>,
}

impl Loader {
    /// Starts the engine and opens the cache.
    pub(crate) fn new(config: RuntimeConfig, in_process: Tier) -> Result<Loader, RuntimeError> {
        let broken = |error: wasmtime::Error| RuntimeError::Engine(error.into());
        let engine = new_engine(Tier::Optimised).map_err(broken)?;
        let cache = Cache::open(&config.cache_dir, &engine)?;
        Ok(Loader {
            optimised: TierParts::new(engine, cache).map_err(broken)?,
            quick: OnceLock::new(),
            compiler: config.compiler,
            in_process,
            plugins: Mutex::default(),
            background: Arc::new(Semaphore::new(IN_BACKGROUND)),
        })
    }

    /// See [`crate::Runtime::load`].
    pub(crate) async fn load(
        self: &Arc<Self>,
        plugin: PluginToLoad<'_>,
        bytes: impl FnOnce() -> io::Result<Cow<'static, [u8]>> + Send,
        log: &dyn LogSink,
    ) -> Result<Arc<Plugin>, LoadError> {
        let cell = {
            let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
            match plugins.get(plugin.digest) {
                Some(cell) => cell.clone(),
                None => plugins.entry(plugin.digest.to_owned()).or_default().clone(),
            }
        };
        cell.get_or_try_init(|| self.find_or_make(plugin, bytes, log)).await.cloned()
    }

    async fn find_or_make(
        self: &Arc<Self>,
        plugin: PluginToLoad<'_>,
        bytes: impl FnOnce() -> io::Result<Cow<'static, [u8]>> + Send,
        log: &dyn LogSink,
    ) -> Result<Arc<Plugin>, LoadError> {
        let digest = plugin.digest;
        if let Some(found) = self.cached(Tier::Optimised, digest).await {
            return found;
        }
        let child = match &self.compiler {
            Compiler::Child(child) if !plugin.is_built_in => child,
            _ => return self.make_here(digest, bytes().map_err(LoadError::Read)?).await,
        };
        if let Some(found) = self.cached(Tier::Quick, digest).await {
            self.improve_later(child, digest);
            return found;
        }
        let bytes = bytes().map_err(LoadError::Read)?;
        let size = bytes.len();
        let begin = Instant::now();
        let news =
            format!("compiling plugin `{}` ({}), at its first use only\n", plugin.name, quantity::bytes(size as u64));
        let mut is_told = first_tier(size) == Tier::Quick;
        if is_told {
            tell(log, &news).await;
        }
        let mut making = Box::pin(self.make_in_child(child, digest, bytes));
        let made = tokio::select! {
            made = &mut making => made,
            () = tokio::time::sleep(QUIET_TIME), if !is_told => {
                is_told = true;
                tell(log, &news).await;
                making.await
            }
        };
        let (tier, loaded) = made?;
        if is_told {
            let more = if tier == Tier::Quick { "; faster code follows in the background" } else { "" };
            tell(log, &format!("compiled it in {:.1} s{more}\n", begin.elapsed().as_secs_f64())).await;
        }
        if tier == Tier::Quick {
            self.improve_later(child, digest);
        }
        Ok(loaded)
    }

    /// Compiles in this process.
    async fn make_here(self: &Arc<Self>, digest: &str, bytes: Cow<'static, [u8]>) -> Result<Arc<Plugin>, LoadError> {
        let (loader, digest) = (Arc::clone(self), digest.to_owned());
        let made = spawn_blocking(move || {
            let tier = loader.tier(loader.in_process);
            let tier = tier.ok_or_else(|| LoadError::Compile("this machine has no such compiler".to_owned()))?;
            let (component, description) = in_this_process(&tier.cache, &tier.engine, &digest, &bytes)?;
            tier.link(component, description)
        });
        made.await.map_err(|error| LoadError::Compile(error.to_string()))?
    }

    /// Compiles in a process of its own; answers also with which compiler did it.
    async fn make_in_child(
        self: &Arc<Self>,
        child: &ChildCompiler,
        digest: &str,
        bytes: Cow<'static, [u8]>,
    ) -> Result<(Tier, Arc<Plugin>), LoadError> {
        let bytes: Arc<[u8]> = bytes.into();
        let has_quick = || self.tier(Tier::Quick).is_some();
        if first_tier(bytes.len()) == Tier::Quick && has_quick() {
            match self.make_with(child, Tier::Quick, digest, Arc::clone(&bytes)).await {
                // It knows fewer instructions than the other one.
                Err(LoadError::Compile(_) | LoadError::CompilerCrashed(_)) => {}
                other => return other.map(|plugin| (Tier::Quick, plugin)),
            }
        }
        self.make_with(child, Tier::Optimised, digest, bytes).await.map(|plugin| (Tier::Optimised, plugin))
    }

    async fn make_with(
        self: &Arc<Self>,
        child: &ChildCompiler,
        tier: Tier,
        digest: &str,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<Plugin>, LoadError> {
        let (cache, of) = (self.optimised.cache.clone(), digest.to_owned());
        let source = spawn_blocking(move || cache.put_source(&of, &bytes)).await.map_err(io::Error::other);
        let source = source.flatten().map_err(LoadError::Compiler)?;
        let ended = match parent::start(child, &self.order(child, tier, digest, true), source) {
            Ok(compilation) => compilation.finish().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            remove_source(self.optimised.cache.directory(), digest);
            return Err(error);
        }
        let missing = || LoadError::Compiler(io::Error::other("the code is not where it was stored"));
        self.cached(tier, digest).await.ok_or_else(missing)?
    }

    /// Starts a process that makes better code of a component that waits in the cache, and loads that when it is there.
    fn improve_later(self: &Arc<Self>, child: &ChildCompiler, digest: &str) {
        let (loader, child, digest) = (Arc::clone(self), child.clone(), digest.to_owned());
        // This process may end in a moment: what can begin now begins now, and goes on by itself.
        let turn = Arc::clone(&loader.background).try_acquire_owned();
        let begun = turn.map(|turn| (turn, loader.begin_improving(&child, &digest)));
        tokio::spawn(async move {
            let (_turn, compilation) = match begun {
                Ok(begun) => begun,
                Err(_) => match Arc::clone(&loader.background).acquire_owned().await {
                    Ok(turn) => (turn, loader.begin_improving(&child, &digest)),
                    Err(_) => return,
                },
            };
            let Some(compilation) = compilation else { return };
            match compilation.finish().await {
                Ok(true) => {}
                Ok(false) => return,
                // It would fail the next time as well.
                Err(_) => return remove_source(loader.optimised.cache.directory(), &digest),
            }
            if let Some(Ok(plugin)) = loader.cached(Tier::Optimised, &digest).await {
                let cell = Arc::new(OnceCell::new_with(Some(plugin)));
                loader.plugins.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, cell);
            }
        });
    }

    fn begin_improving(&self, child: &ChildCompiler, digest: &str) -> Option<parent::Compilation> {
        let source = self.optimised.cache.source(digest)?;
        parent::start(child, &self.order(child, Tier::Optimised, digest, false), source).ok()
    }

    fn order(&self, child: &ChildCompiler, tier: Tier, digest: &str, is_awaited: bool) -> Order {
        Order {
            cache_dir: self.optimised.cache.directory().to_owned(),
            digest: digest.to_owned(),
            tier,
            is_awaited,
            wall_ms: u64::try_from(child.limits.wall.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: child.limits.memory_bytes,
        }
    }

    /// What the cache has of a plugin for this tier.
    async fn cached(self: &Arc<Self>, tier: Tier, digest: &str) -> Option<Result<Arc<Plugin>, LoadError>> {
        let (loader, digest) = (Arc::clone(self), digest.to_owned());
        let found = spawn_blocking(move || {
            let parts = loader.tier(tier)?;
            let (component, description) = parts.cache.get(&parts.engine, &digest)?;
            Some(parts.link(component, description))
        });
        found.await.ok().flatten()
    }

    fn tier(&self, tier: Tier) -> Option<&TierParts> {
        match tier {
            Tier::Optimised => Some(&self.optimised),
            Tier::Quick => self.quick.get_or_init(|| self.start_quick()).as_ref(),
        }
    }

    /// None where there is no quick compiler for this processor.
    fn start_quick(&self) -> Option<TierParts> {
        let engine = new_engine(Tier::Quick).ok()?;
        let cache = self.optimised.cache.for_engine(&engine);
        TierParts::new(engine, cache).ok()
    }
}

impl TierParts {
    fn new(engine: Engine, cache: Cache) -> Result<TierParts, wasmtime::Error> {
        let mut wasi = Linker::new(&engine);
        wasi::add_to_linker(&mut wasi)?;
        Ok(TierParts { engine, wasi, cache })
    }

    fn link(&self, component: Component, description: PluginDescription) -> Result<Arc<Plugin>, LoadError> {
        let refused = |error: wasmtime::Error| LoadError::Link(format!("{error:#}"));
        let mut linker = self.wasi.clone();
        let imported: BTreeSet<_> = description.imports.iter().filter_map(|import| import.capability).collect();
        for capability in imported {
            capability::link(capability, &mut linker).map_err(refused)?;
        }
        let instance = linker.instantiate_pre(&component).map_err(refused)?;
        let plugin = Plugin::new(description, &component, instance);
        plugin.map(Arc::new).ok_or(LoadError::Describe(DescribeError::NoRun))
    }
}

/// Says something in the step's log. A log that is full is the step's concern, not that of loading.
async fn tell(log: &dyn LogSink, text: &str) {
    log.write(LogStream::Host, text.to_owned().into()).await.ok();
}
