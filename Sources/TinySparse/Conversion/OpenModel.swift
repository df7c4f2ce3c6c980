// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinyRuntime
import TinySupport

extension Model {
    /// Opens a model: a native file is mapped; a source checkpoint (a .gguf file, or a folder of a Hugging Face
    /// model) is converted in memory, which takes longer and needs about one byte for each weight. See `convert`.
    ///
    /// - Parameters:
    ///   - verify: compare the checksums of a native file; one pass over the file.
    ///   - residence: whether the weights of a native file are mapped or copied to huge pages.
    ///   - progress: called as a conversion goes on; returning false ends it.
    /// - Throws: `FormatError`, of the kind `stopped` if `progress` ends it.
    public convenience init(
        path: String, verify: Bool = true, residence: WeightResidence = .automatic,
        progress: ConversionProgress = { _ in true }
    ) throws(FormatError) {
        if let native = GGUF.nativeModel(at: path) {
            try self.init(NativeModelFile(native, verify: verify, residence: residence))
        } else {
            try self.init(NativeModelFile(image: nativeImage(path, progress: progress), verify: false))
        }
    }

    /// Uses a model that is in memory, for instance one that is part of the program.
    ///
    /// A native model on a 64-byte boundary is used in place: it has to stay there, unchanged, as long as this
    /// object. Anything else is copied, a source .gguf file converted.
    /// - Parameter verify: compare the checksums of a native model.
    /// - Throws: `FormatError`.
    public convenience init(bytes: UnsafeRawBufferPointer, verify: Bool = true) throws(FormatError) {
        guard !bytes.isEmpty else { throw FormatError(.truncated, path: "memory", "there are no bytes") }
        let isAligned = Int(bitPattern: bytes.baseAddress!) % 64 == 0
        let file =
            isAligned
            ? MappedFile(borrowing: bytes, named: "memory") : try MappedFile(copying: bytes, named: "memory")
        let gguf = try GGUF(file)
        let image = gguf.isNativeModel ? file : try nativeImage(gguf)
        try self.init(NativeModelFile(image: image, verify: verify && gguf.isNativeModel))
    }
}
