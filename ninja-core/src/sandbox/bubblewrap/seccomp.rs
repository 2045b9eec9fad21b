//! Assembles the seccomp filter: a classic BPF program that denies what has no place in a sandbox.
//!
//! A denylist, as namespaces and missing capabilities already confine: this takes away the kernel's rarely used and
//! often broken corners. Denied calls answer `EPERM`, so that programs say what they could not do instead of dying;
//! `clone3` answers `ENOSYS`, which makes the C library fall back on `clone`, whose flags a filter can see.

use super::syscalls::{Architecture, DENIED_EVERYWHERE};

const LOAD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`. Arguments are 64-bit little-endian; every one looked at here is 32 bits to the
/// kernel.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENT_0_AT: u32 = 16;
const ARGUMENT_1_AT: u32 = 24;

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const EPERM: u32 = 0x0005_0000 | 1;
const ENOSYS: u32 = 0x0005_0000 | 38;

/// `CLONE_NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET`.
const NEW_NAMESPACE_FLAGS: u32 = 0x7e02_0000;
const AF_UNIX: u32 = 1;
/// Types into the controlling terminal of whoever started the daemon.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
/// On x86-64, numbers from here on are the x32 ABI: a second door to every system call.
const X32_NUMBERS: u32 = 0x4000_0000;
const CLONE3: u32 = 435;

#[derive(Debug, Clone, Copy)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// Returns the program for an architecture, as `bwrap --seccomp` reads it.
pub(super) fn program(architecture: &Architecture) -> Vec<u8> {
    let mut bytes = Vec::new();
    for instruction in instructions(architecture) {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.if_true, instruction.if_false]);
        bytes.extend(instruction.value.to_ne_bytes());
    }
    bytes
}

fn instructions(architecture: &Architecture) -> Vec<Instruction> {
    let load = |at| Instruction { code: LOAD, if_true: 0, if_false: 0, value: at };
    let answer = |with| Instruction { code: RETURN, if_true: 0, if_false: 0, value: with };
    // The second and third argument say how many instructions to skip when the comparison holds and when it does not.
    let equal = |value, if_true, if_false| Instruction { code: JUMP_EQUAL, if_true, if_false, value };

    let mut program = vec![
        load(ARCHITECTURE_AT),
        equal(architecture.audit, 1, 0),
        answer(KILL_PROCESS),
        load(NUMBER_AT),
        Instruction { code: JUMP_AT_LEAST, if_true: 0, if_false: 1, value: X32_NUMBERS },
        answer(ENOSYS),
        equal(CLONE3, 0, 1),
        answer(ENOSYS),
    ];
    program.extend([
        equal(architecture.clone, 0, 4),
        load(ARGUMENT_0_AT),
        Instruction { code: JUMP_ANY_BIT, if_true: 0, if_false: 1, value: NEW_NAMESPACE_FLAGS },
        answer(EPERM),
        answer(ALLOW),
    ]);
    for call in [architecture.socket, architecture.socketpair] {
        program.extend([equal(call, 0, 4), load(ARGUMENT_0_AT), equal(AF_UNIX, 1, 0), answer(EPERM), answer(ALLOW)]);
    }
    program.extend([
        equal(architecture.ioctl, 0, 5),
        load(ARGUMENT_1_AT),
        equal(TIOCSTI, 1, 0),
        equal(TIOCLINUX, 0, 1),
        answer(EPERM),
        answer(ALLOW),
    ]);
    for call in DENIED_EVERYWHERE.iter().chain(architecture.denied) {
        program.extend([equal(*call, 0, 1), answer(EPERM)]);
    }
    program.push(answer(ALLOW));
    program
}

#[cfg(test)]
mod tests {
    use super::{super::syscalls::*, *};

    /// Runs the program as the kernel would.
    fn run(architecture: &Architecture, audit: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let program = instructions(architecture);
        let (mut accumulator, mut at) = (0, 0);
        loop {
            let Instruction { code, if_true, if_false, value } = program[at];
            at += 1;
            let mut jump = |holds: bool| at += usize::from(if holds { if_true } else { if_false });
            match code {
                LOAD => {
                    accumulator = match value {
                        NUMBER_AT => number,
                        ARCHITECTURE_AT => audit,
                        ARGUMENT_0_AT => arguments[0],
                        ARGUMENT_1_AT => arguments[1],
                        other => panic!("loads from {other}"),
                    }
                }
                JUMP_EQUAL => jump(accumulator == value),
                JUMP_AT_LEAST => jump(accumulator >= value),
                JUMP_ANY_BIT => jump(accumulator & value != 0),
                RETURN => return value,
                other => panic!("unknown instruction {other}"),
            }
        }
    }

    #[test]
    fn it_denies_what_it_should_and_nothing_else() {
        for arch in [&X86_64, &AARCH64] {
            let answer = |number, arguments| run(arch, arch.audit, number, arguments);
            for number in DENIED_EVERYWHERE.iter().chain(arch.denied) {
                assert_eq!(answer(*number, [0, 0]), EPERM, "{number}");
            }
            let special = [arch.clone, arch.socket, arch.socketpair, arch.ioctl, CLONE3];
            let denied = |n: &u32| DENIED_EVERYWHERE.contains(n) || arch.denied.contains(n) || special.contains(n);
            for number in (0..470).filter(|n| !denied(n)) {
                assert_eq!(answer(number, [u32::MAX, TIOCSTI]), ALLOW, "{number}");
            }
            assert_eq!(answer(CLONE3, [0, 0]), ENOSYS);
            assert_eq!(answer(X32_NUMBERS | 59, [0, 0]), ENOSYS);
            assert_eq!(run(arch, 0x4000_0003, 1, [0, 0]), KILL_PROCESS, "the 32-bit door is shut");
        }
    }

    #[test]
    fn it_looks_at_the_arguments_of_four_calls() {
        for arch in [&X86_64, &AARCH64] {
            let answer = |number, arguments| run(arch, arch.audit, number, arguments);
            let thread_flags = 0x003d_0f00;
            assert_eq!(answer(arch.clone, [thread_flags, 0]), ALLOW);
            for bit in [17, 25, 26, 27, 28, 29, 30] {
                assert_eq!(answer(arch.clone, [thread_flags | 1 << bit, 0]), EPERM, "bit {bit}");
            }
            for call in [arch.socket, arch.socketpair] {
                assert_eq!(answer(call, [AF_UNIX, 0]), ALLOW);
                for family in [0, 2, 10, 16, 17, 38, 40] {
                    assert_eq!(answer(call, [family, 0]), EPERM, "family {family}");
                }
            }
            assert_eq!(answer(arch.ioctl, [0, 0x5413]), ALLOW);
            assert_eq!(answer(arch.ioctl, [0, TIOCSTI]), EPERM);
            assert_eq!(answer(arch.ioctl, [0, TIOCLINUX]), EPERM);
        }
    }

    #[test]
    fn it_is_eight_bytes_an_instruction_and_short_enough_for_the_kernel() {
        for arch in [&X86_64, &AARCH64] {
            assert_eq!(program(arch).len(), instructions(arch).len() * 8);
            assert!(instructions(arch).len() < 4_096);
        }
    }
}
