//! The pages of the program itself and its libraries. Reading a model runs code that answering never needs again, a few megabytes of it, which the system would count as
//! this process's memory until it needs it elsewhere.

/// Gives the memory of the program's own pages and its libraries' back to the system, where it can (Linux); those that are needed again come back from
/// their files.
pub fn give_back_program() {
    #[cfg(target_os = "linux")]
    linux::give_back();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ops::Range;

    pub(super) fn give_back() {
        let Ok(program) = std::fs::read_link("/proc/self/exe") else { return };
        let Ok(told) = std::fs::read_to_string("/proc/self/smaps") else { return };
        for addresses in code(&told, &program.to_string_lossy()) {
            // SAFETY: nobody can write to these pages, and none differs from the file, so that each comes back with the same bytes. Advice
            // only: where it is refused, the memory stays taken.
            let _ = unsafe {
                let start = std::ptr::without_provenance_mut(addresses.start);
                libc::madvise(start, addresses.len(), libc::MADV_DONTNEED)
            };
        }
    }

    /// Where code is that nobody can write to and that is its file page for page, by `smaps`: a line of addresses, rights and path for each part
    /// of the address space, and lines of its figures.
    fn code(told: &str, program: &str) -> Vec<Range<usize>> {
        let mut parts: Vec<Option<Range<usize>>> = Vec::new();
        for line in told.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some(key) = first.strip_suffix(':') {
                // Pages that are not the file's any more are anonymous, in memory or swapped out.
                if matches!(key, "Anonymous" | "Swap")
                    && words.next() != Some("0")
                    && let Some(part) = parts.last_mut()
                {
                    *part = None;
                }
                continue;
            }
            let address = |text: &str| usize::from_str_radix(text, 16).ok();
            let Some((start, end)) = first.split_once('-').and_then(|(start, end)| address(start).zip(address(end)))
            else {
                continue;
            };
            let is_read_only = words.next().is_some_and(|rights| !rights.contains('w'));
            let is_code = line.find('/').is_some_and(|path| &line[path..] == program || line.contains(".so"));
            parts.push((is_read_only && is_code).then_some(start..end));
        }
        parts.into_iter().flatten().collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_code_that_is_its_file_page_for_page_is_given_back() {
            let told = "\
55d0-55e0 r--p 00000000 fe:00 7 /bin/me
Rss:                  64 kB
Anonymous:             0 kB
Swap:                  0 kB
55e0-55f0 r-xp 00010000 fe:00 7 /bin/me
Anonymous:             0 kB
Swap:                  0 kB
55f0-5600 r--p 00020000 fe:00 7 /bin/me
Anonymous:             4 kB
Swap:                  0 kB
5600-5610 r--p 00030000 fe:00 7 /bin/me
Anonymous:             0 kB
Swap:                  4 kB
5610-5620 rw-p 00040000 fe:00 7 /bin/me
Anonymous:             0 kB
Swap:                  0 kB
5620-5630 r-xp 00000000 fe:00 8 /lib/bin/me
Anonymous:             0 kB
5630-5640 rw-p 00000000 00:00 0
7f00-7f10 r--p 00000000 fe:00 9 /lib/libc.so.6
7f10-7f20 r--p 00000000 fe:00 9 /tmp/model.gguf
nonsense
";
            assert_eq!(code(told, "/bin/me"), [0x55d0..0x55e0, 0x55e0..0x55f0, 0x7f00..0x7f10]);
        }
    }
}
