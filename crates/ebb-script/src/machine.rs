//! An interpreter: what is made once, and kept from script to script.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use ebb_engine::{Context, Server};
use mlua::{
    ChunkMode, Debug, DebugEvent, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, VmState,
};

use crate::memory::{self, Original};
use crate::random::Random;
use crate::{api, call};

/// Instructions between two looks around.
const LOOK_EVERY: u32 = 100_000;

/// The name of the sandbox's own code.
pub(crate) const SANDBOX: &str = "=sandbox";

/// What an interpreter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Scripts,
    Functions,
}

/// An interpreter of one thread.
pub(crate) struct Machine {
    pub(crate) lua: Lua,
    pub(crate) run: Function,
    pub(crate) load_library: Function,
    pub(crate) random: Rc<RefCell<Random>>,
    /// Compiled scripts by digest; functions by the number of their library and their name. The
    /// interpreter keeps them, because a host may hold no more than some thousand values.
    compiled: Table,
    /// The version of the server's scripts, or libraries, that was seen last.
    version: u64,
    runs: Cell<u32>,
    allocator: Original,
}

impl Drop for Machine {
    fn drop(&mut self) {
        memory::restore(&self.lua, &self.allocator);
    }
}

impl Machine {
    pub(crate) fn new(kind: Kind, version: u64) -> mlua::Result<Machine> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        // Panics are not to be caught by scripts' `pcall`, which is not mlua's.
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(false))?;
        let allocator = memory::make_fallible(&lua)?;
        let random = Rc::new(RefCell::new(Random::new(0)));
        let host = api::host(&lua, &random)?;
        let sandbox = lua.load(include_str!("sandbox.lua")).set_name(SANDBOX);
        let exports: Table = sandbox.call((host, kind == Kind::Functions))?;
        lua.set_globals(exports.get("globals")?)?;
        let run = match kind {
            Kind::Scripts => exports.get("run_script")?,
            Kind::Functions => exports.get("run_function")?,
        };
        let machine = Machine {
            run,
            load_library: exports.get("load_library")?,
            random,
            compiled: lua.create_table()?,
            version,
            runs: Cell::new(0),
            allocator,
            lua,
        };
        machine.watch()?;
        Ok(machine)
    }

    /// Makes it look around every now and then.
    pub(crate) fn watch(&self) -> mlua::Result<()> {
        let triggers = HookTriggers::new().every_nth_instruction(LOOK_EVERY);
        self.lua.set_global_hook(triggers, |lua, _| {
            if !call::must_stop(lua) {
                return Ok(VmState::Continue);
            }
            lua.set_global_hook(HookTriggers::EVERY_LINE, fail)?;
            Err(stopped())
        })
    }

    /// Something compiled, by its key.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Function> {
        let key = self.lua.create_string(key).ok()?;
        self.compiled.raw_get(key).ok()
    }

    /// Keeps something compiled.
    pub(crate) fn keep(&self, key: &[u8], function: &Function) -> mlua::Result<()> {
        self.compiled.raw_set(self.lua.create_string(key)?, function)
    }

    /// Compiles a source. The error is Lua's text.
    pub(crate) fn compile(&self, source: &[u8], name: &str) -> Result<Function, String> {
        let chunk = self.lua.load(source).set_name(name).set_mode(ChunkMode::Text);
        chunk.into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        })
    }

    /// After a run: shows what the interpreter holds. Garbage is collected by Lua as it grows,
    /// and a bit more here, as Redis does.
    pub(crate) fn rest(&self, ctx: &Context<'_>, kind: Kind) {
        const COLLECT_EVERY: u32 = 50;
        self.runs.set(self.runs.get() + 1);
        if self.runs.get() >= COLLECT_EVERY {
            self.runs.set(0);
            // It fails only if a finalizer does, and there is none.
            let _ = self.lua.gc_step_kbytes(COLLECT_EVERY as i32);
        }
        memory::recover(&self.lua);
        note_bytes(ctx, kind, self.lua.used_memory());
    }
}

/// Whatever a script that is to stop catches: its next line fails again. A coroutine that has not
/// heard of it yet still counts instructions.
fn fail(lua: &Lua, debug: &Debug<'_>) -> mlua::Result<VmState> {
    if debug.event() != DebugEvent::Line {
        lua.set_global_hook(HookTriggers::EVERY_LINE, fail)?;
    }
    match debug.source().source.as_deref() {
        Some(SANDBOX) => Ok(VmState::Continue),
        _ => Err(stopped()),
    }
}

fn stopped() -> mlua::Error {
    mlua::Error::runtime("Script killed by user with SCRIPT KILL.")
}

fn note_bytes(ctx: &Context<'_>, kind: Kind, bytes: usize) {
    let Some(worker) = ctx.server.scripting.vm_bytes.get(ctx.session.client.worker) else { return };
    let figure = match kind {
        Kind::Scripts => &worker.scripts,
        Kind::Functions => &worker.functions,
    };
    figure.store(bytes, Ordering::Relaxed);
}

/// Servers live as long as the process, so that an address is one server's for ever. There is
/// more than one only in tests.
type Place = (usize, Kind);

thread_local! {
    static MACHINES: RefCell<HashMap<Place, Rc<Machine>>> = RefCell::default();
}

fn place(server: &'static Server, kind: Kind) -> Place {
    (std::ptr::from_ref(server) as usize, kind)
}

/// This thread's interpreter.
pub(crate) fn machine(ctx: &Context<'_>, kind: Kind) -> mlua::Result<Rc<Machine>> {
    let place = place(ctx.server, kind);
    let found = MACHINES.with_borrow(|machines| machines.get(&place).cloned());
    let version = match kind {
        Kind::Scripts => ctx.server.scripting.cache.lock().version,
        Kind::Functions => ctx.server.scripting.libraries.lock().version,
    };
    // Compiled code that others have removed goes with the interpreter that holds it.
    if let Some(machine) = found.filter(|machine| machine.version == version) {
        return Ok(machine);
    }
    let machine = Rc::new(Machine::new(kind, version)?);
    MACHINES.with_borrow_mut(|machines| machines.insert(place, Rc::clone(&machine)));
    Ok(machine)
}

fn forget(ctx: &Context<'_>, kind: Kind) {
    MACHINES.with_borrow_mut(|machines| machines.remove(&place(ctx.server, kind)));
    note_bytes(ctx, kind, 0);
}

/// Drops this thread's interpreter of scripts; others drop theirs at their next script.
pub fn forget_scripts(ctx: &Context<'_>) {
    forget(ctx, Kind::Scripts);
}

/// Drops this thread's interpreter of functions; others drop theirs at their next function.
pub fn forget_functions(ctx: &Context<'_>) {
    forget(ctx, Kind::Functions);
}
