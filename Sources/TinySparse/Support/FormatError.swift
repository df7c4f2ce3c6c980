// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a file, where, and what to do about it.
public struct FormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The class of a problem, for programs; the message is for people.
    public enum Kind: Sendable, Equatable {
        /// The operating system refused; the value is its `errno`.
        case system(Int32)
        /// The file ends before its contents do.
        case truncated
        /// The contents break the rules of the format.
        case malformed
        /// Valid, but nothing this runtime can run.
        case unsupported
        /// A key, file or tensor that has to be there is not.
        case missing
        /// A tensor has another shape or type than the model's configuration demands.
        case mismatch
        /// The bytes are not those that were written.
        case checksum
        /// A weight is infinite or not a number.
        case notFinite
        /// Nothing is wrong: the caller ended the work.
        case stopped
    }

    /// The class of the problem.
    public var kind: Kind
    /// The file.
    public var path: String
    /// The tensor or the metadata key the problem is about.
    public var item: String?
    /// Byte offset in the file.
    public var offset: Int?
    /// What is wrong and what to do.
    public var message: String

    /// - Parameter message: what is wrong and what to do.
    public init(
        _ kind: Kind, path: String, item: String? = nil, offset: Int? = nil, _ message: String
    ) {
        self.kind = kind
        self.path = path
        self.item = item
        self.offset = offset
        self.message = message
    }

    /// `file: item: at byte n: message`
    public var description: String {
        var text = printable(path) + ": "
        if let item { text += printable(item) + ": " }
        if let offset { text += "at byte \(offset): " }
        return text + message
    }
}

/// Text out of a file made safe to print: control characters become `?`, and
/// what is longer than 200 characters is cut.
package func printable(_ text: String) -> String {
    var result = String.UnicodeScalarView()
    for (count, scalar) in text.unicodeScalars.enumerated() {
        if count == 200 {
            result.append("…")
            break
        }
        let isControl = scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value)
        result.append(isControl ? "?" : scalar)
    }
    return String(result)
}
