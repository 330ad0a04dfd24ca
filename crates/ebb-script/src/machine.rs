//! An interpreter: what is made once, and kept from script to script.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use ebb_engine::{Context, Reply, Server};
use mlua::{
    ChunkMode, Debug, DebugEvent, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value,
    VmState,
};

use crate::code::{Functions, Scripts};
use crate::memory::{self, Original};
use crate::random::Random;
use crate::raw::Door;
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
    pub(crate) door: Door,
    pub(crate) load_library: Function,
    pub(crate) random: Rc<RefCell<Random>>,
    pub(crate) scripts: RefCell<Scripts>,
    pub(crate) functions: RefCell<Functions>,
    /// What the commands of scripts are answered is written here.
    pub(crate) reply: Cell<Reply>,
    /// Compiled code by number. The interpreter keeps it, because a host may hold no more than some
    /// thousand values.
    compiled: Table,
    free: RefCell<Vec<i32>>,
    /// What scripts see.
    visible: Table,
    /// The version of the server's scripts, or libraries, that was seen last.
    version: u64,
    /// Garbage is collected when it holds so many bytes.
    collect_at: Cell<usize>,
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
        let (compiled, visible) = (lua.create_table()?, exports.get("visible")?);
        let variables = (kind == Kind::Scripts).then_some(&visible);
        let machine = Machine {
            door: Door::new(&lua, &compiled, variables, &exports.get("locate")?)?,
            load_library: exports.get("load_library")?,
            random,
            scripts: RefCell::default(),
            functions: RefCell::default(),
            reply: Cell::default(),
            compiled,
            free: RefCell::default(),
            visible,
            version,
            collect_at: Cell::new(usize::MAX),
            allocator,
            lua,
        };
        machine.watch()?;
        // What only the making needed.
        machine.lua.gc_collect()?;
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

    /// Keeps something compiled. Answers its place.
    pub(crate) fn keep(&self, function: &Function) -> mlua::Result<i32> {
        let slot = match self.free.borrow_mut().pop() {
            Some(slot) => slot,
            None => self.compiled.raw_len() as i32 + 1,
        };
        self.compiled.raw_set(slot, function)?;
        Ok(slot)
    }

    /// Forgets what was compiled.
    pub(crate) fn forget(&self, slots: &[i32]) -> mlua::Result<()> {
        for &slot in slots {
            // Not nil: the length of the table says which places are in use.
            self.compiled.raw_set(slot, false)?;
            self.free.borrow_mut().push(slot);
        }
        Ok(())
    }

    /// Takes the variables of a script that has failed away.
    pub(crate) fn clean_up(&self) -> mlua::Result<()> {
        self.visible.raw_set("KEYS", Value::Nil)?;
        self.visible.raw_set("ARGV", Value::Nil)
    }

    /// Compiles a source. The error is Lua's text.
    pub(crate) fn compile(&self, source: &[u8], name: &str) -> Result<Function, String> {
        let chunk = self.lua.load(source).set_name(name).set_mode(ChunkMode::Text);
        chunk.into_function().map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        })
    }

    /// After a run: shows what the interpreter holds. Garbage is collected by Lua when it is as much
    /// as all else, and sooner here, a bit at a time.
    pub(crate) fn rest(&self, ctx: &Context<'_>, kind: Kind) {
        const STEP_KB: i32 = 24;
        let grown_at = |bytes: usize| bytes + STEP_KB as usize * 1024;
        let mut bytes = self.lua.used_memory();
        if bytes >= self.collect_at.get() {
            // It fails only if a finalizer does, and there is none.
            let _ = self.lua.gc_step_kbytes(STEP_KB);
            bytes = self.lua.used_memory();
            self.collect_at.set(grown_at(bytes));
        }
        self.collect_at.set(self.collect_at.get().min(grown_at(bytes)));
        memory::recover(&self.lua);
        note_bytes(ctx, kind, bytes);
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
    let Some(worker) = ctx.server.scripting.vm_bytes.get(ctx.session.client.worker()) else {
        return;
    };
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
    static MACHINES: RefCell<Vec<(Place, Rc<Machine>)>> = RefCell::default();
}

fn place(server: &'static Server, kind: Kind) -> Place {
    (std::ptr::from_ref(server) as usize, kind)
}

/// This thread's interpreter.
pub(crate) fn machine(ctx: &Context<'_>, kind: Kind) -> mlua::Result<Rc<Machine>> {
    let place = place(ctx.server, kind);
    let version = match kind {
        Kind::Scripts => ctx.server.scripting.flushes(),
        Kind::Functions => ctx.server.scripting.libraries.lock().version,
    };
    // Compiled code that others have removed goes with the interpreter that holds it.
    let found = MACHINES.with_borrow(|machines| {
        let found = machines.iter().find(|(other, _)| *other == place)?;
        (found.1.version == version).then(|| Rc::clone(&found.1))
    });
    if let Some(machine) = found {
        return Ok(machine);
    }
    let machine = Rc::new(Machine::new(kind, version)?);
    take_out(place);
    MACHINES.with_borrow_mut(|machines| machines.push((place, Rc::clone(&machine))));
    Ok(machine)
}

fn take_out(place: Place) {
    MACHINES.with_borrow_mut(|machines| machines.retain(|(other, _)| *other != place));
}

fn forget(ctx: &Context<'_>, kind: Kind) {
    take_out(place(ctx.server, kind));
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
