#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#endif

/// The words of the command line, the program's name first.
///
/// Swift reads them from /proc. Without /proc, as in an empty root directory, argv is recovered from the initial
/// stack: it is just below envp, preceded by argc.
let programArguments: [String] = {
    let usual = CommandLine.arguments
    guard usual.isEmpty else { return usual }
    let words = UnsafeRawPointer(environ).assumingMemoryBound(to: UInt.self)
    for count in 0..<65_536 where words[-2 - count] == UInt(count) {
        return (0..<count).map { index in
            String(cString: UnsafePointer<CChar>(bitPattern: words[index - 1 - count])!)
        }
    }
    return []
}()

/// Replaces the Swift runtime's search for its backtracer in static binaries (`--wrap`, see Examples/Boards/build-static): the
/// search aborts the program where there is no /proc.
@_cdecl("__wrap_swift_copyAuxiliaryExecutablePath")
package func noAuxiliaryExecutable(_ name: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? { nil }
