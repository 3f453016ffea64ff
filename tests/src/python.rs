//! A Python that has the module `domstats`, installed as users install it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use crate::{
    alone::{is_inside, is_prepared},
    command::{built, forget_package},
    lab::lab,
    tools::python_with_libvirt,
};

/// Returns the interpreter, which also has libvirt-python. It is installed once, next to cargo's
/// build output: before [`alone!`](crate::alone!), since that removes the network.
#[must_use]
pub fn python() -> &'static Path {
    static PYTHON: LazyLock<PathBuf> = LazyLock::new(install);
    &PYTHON
}

/// Returns a command for a script with this text.
#[must_use]
pub fn script(text: &str) -> Command {
    let path = lab().path(lab().name("script"));
    std::fs::write(&path, text).unwrap();
    let mut command = lab().command_at(python());
    command.arg(path);
    command
}

fn install() -> PathBuf {
    let built = built();
    let target = built.parent().unwrap();
    let environment = target.join("python");
    let python = environment.join("bin/python");
    if is_prepared() || is_inside() {
        return python;
    }
    if !environment.join("bin/pip").exists() {
        let mut venv = lab().command_at(python_with_libvirt());
        lab().run(venv.args(["-m", "venv", "--system-site-packages"]).arg(&environment));
    }
    let pip = || {
        let mut pip = lab().command_at(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    };
    lab().run(pip().args(["pytest", "mypy"]));
    // Next to cargo's build output: the build of the module tells build scripts of other Pythons,
    // and everything that depends on them would be compiled again by each.
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/domstats-python");
    let mut install = pip();
    install
        .env("CARGO_TARGET_DIR", target.join("wheel"))
        .env("MATURIN_PEP517_ARGS", "--profile dev");
    forget_package(&mut install);
    lab().run(install.arg(module));
    python
}
