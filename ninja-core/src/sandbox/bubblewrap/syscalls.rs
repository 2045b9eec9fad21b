//! System call numbers by architecture, from the kernel's own tables.

/// What the filter must know of an architecture.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `AUDIT_ARCH_…`, as the kernel says it to the filter.
    pub(super) audit: u32,
    /// Calls whose arguments are looked at.
    pub(super) clone: u32,
    /// Allowed for Unix sockets only.
    pub(super) socket: u32,
    /// Allowed for Unix sockets only.
    pub(super) socketpair: u32,
    /// Allowed except for typing into a terminal.
    pub(super) ioctl: u32,
    /// Calls that are denied whatever their arguments.
    pub(super) denied: &'static [u32],
}

/// Returns the tables of the machine this runs on; `None` where they are not known.
pub(super) fn this_machine() -> Option<&'static Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(&X86_64),
        "aarch64" => Some(&AARCH64),
        _ => None,
    }
}

/// Denied calls that are new enough to have one number on every architecture.
pub(super) const DENIED_EVERYWHERE: &[u32] = &[
    425, 426, 427, // io_uring_setup, io_uring_enter, io_uring_register
    428, 429, 430, 431, 432, 433, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
    438, // pidfd_getfd
    440, // process_madvise
    442, // mount_setattr
    443, // quotactl_fd
    447, // memfd_secret
    467, // open_tree_attr
];

/// 64-bit x86.
pub(super) const X86_64: Architecture = Architecture {
    audit: 0xc000_003e,
    clone: 56,
    socket: 41,
    socketpair: 53,
    ioctl: 16,
    denied: &[
        101, 310, 311, 312, // ptrace, process_vm_readv, process_vm_writev, kcmp
        165, 166, 155, 161, // mount, umount2, pivot_root, chroot
        272, 308, // unshare, setns
        248, 249, 250, // add_key, request_key, keyctl
        321, 323, 298, // bpf, userfaultfd, perf_event_open
        246, 320, 169, // kexec_load, kexec_file_load, reboot
        175, 313, 176, 174, 177,
        178, // init_module, finit_module, delete_module, create_module, get_kernel_syms, query_module
        167, 168, 163, 179, // swapon, swapoff, acct, quotactl
        103, 153, // syslog, vhangup
        164, 227, 305, 159, // settimeofday, clock_settime, clock_adjtime, adjtimex
        170, 171, // sethostname, setdomainname
        303, 304, 300, // name_to_handle_at, open_by_handle_at, fanotify_init
        212, 180, // lookup_dcookie, nfsservctl
        279, 256, // move_pages, migrate_pages
        172, 173, 154, // iopl, ioperm, modify_ldt
        134, 136, 139, 156, // uselib, ustat, sysfs, _sysctl
    ],
};

/// 64-bit Arm.
pub(super) const AARCH64: Architecture = Architecture {
    audit: 0xc000_00b7,
    clone: 220,
    socket: 198,
    socketpair: 199,
    ioctl: 29,
    denied: &[
        117, 270, 271, 272, // ptrace, process_vm_readv, process_vm_writev, kcmp
        40, 39, 41, 51, // mount, umount2, pivot_root, chroot
        97, 268, // unshare, setns
        217, 218, 219, // add_key, request_key, keyctl
        280, 282, 241, // bpf, userfaultfd, perf_event_open
        104, 294, 142, // kexec_load, kexec_file_load, reboot
        105, 273, 106, // init_module, finit_module, delete_module
        224, 225, 89, 60, // swapon, swapoff, acct, quotactl
        116, 58, // syslog, vhangup
        170, 112, 266, 171, // settimeofday, clock_settime, clock_adjtime, adjtimex
        161, 162, // sethostname, setdomainname
        264, 265, 262, // name_to_handle_at, open_by_handle_at, fanotify_init
        18, 42, // lookup_dcookie, nfsservctl
        239, 238, // move_pages, migrate_pages
    ],
};
