// SPDX-License-Identifier: Apache-2.0

import TinyPlatform

extension FormatError {
    /// The error of the system call that just failed.
    package static func system(_ action: String, path: String, code: Int32 = errno) -> FormatError {
        let reason = String(cString: strerror(code))
        let advice =
            switch code {
            // What is not UTF-8 on the command line is replaced by this character.
            case ENOENT where path.utf8.contains(0xEF) && path.unicodeScalars.contains("\u{FFFD}"):
                "; names that are not UTF-8 cannot be written, choose another"
            case ENOENT: "; check the path"
            case EACCES, EPERM: "; check the permissions"
            case ENOSPC, EFBIG, EDQUOT: "; make room or write elsewhere"
            case ENOMEM: "; use a smaller model or convert it to a native file first"
            default: ""
            }
        return FormatError(.system(code), path: path, "cannot \(action): \(reason)\(advice)")
    }
}

/// Calls `body` until a signal no longer interrupts it.
package func retryingInterrupts<Result: SignedInteger>(_ body: () -> Result) -> Result {
    while true {
        let result = body()
        if result != -1 || errno != EINTR { return result }
    }
}

/// Opens a file to read it.
/// - Parameter advice: what to do if it is a directory or a device.
/// - Returns: an open descriptor, and the size in bytes.
/// - Throws: `FormatError` if it cannot be opened or is not a regular file.
func openRegularFile(_ path: String, _ advice: String) throws(FormatError) -> (descriptor: Int32, size: Int) {
    let descriptor = retryingInterrupts { open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw .system("open", path: path) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else {
        let error = FormatError.system("inspect", path: path)
        close(descriptor)
        throw error
    }
    guard info.st_mode & S_IFMT == S_IFREG else {
        close(descriptor)
        let what = info.st_mode & S_IFMT == S_IFDIR ? "is a directory" : "is not a regular file"
        throw FormatError(.malformed, path: path, "\(what); \(advice)")
    }
    return (descriptor, Int(info.st_size))
}

/// True if `path` names a directory.
package func isDirectory(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
}

/// True if `path` names a regular file.
package func isRegularFile(_ path: String) -> Bool {
    var info = stat()
    return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFREG
}

/// True if `path` names anything.
package func fileExists(_ path: String) -> Bool {
    access(path, F_OK) == 0
}

/// The part of `path` before the last slash; "." if there is none.
package func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
}
