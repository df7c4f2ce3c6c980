import Quant
import TinySupport

/// Writes native files: the header is laid out first, tensors follow in their order, and the header, which holds their
/// checksums, comes last, so that a file that was not finished cannot be read.
package struct NativeModelWriter {
    package let specs: [TensorSpec]
    private var layout: GGUFLayout
    /// Tensors written so far.
    private var written = 0

    /// Bytes of the file.
    package var size: Int { layout.size }

    /// - Parameter metadata: adds what is to stand in the header besides the configuration: vocabulary, origin.
    package init<E: Error>(
        _ config: ModelConfig, metadata: (inout GGUFWriter) throws(E) -> Void
    ) throws(E) {
        var writer = GGUFWriter(alignment: Matrix.alignment)
        config.write(to: &writer)
        try metadata(&writer)
        specs = config.tensorSpecs
        let tensors = specs.flatMap { $0.tensors }
        writer.addChecksums(NativeModelFile.checksumsKey, count: tensors.count)
        for tensor in tensors { writer.addTensor(tensor.name, tensor.format, dimensions: tensor.dimensions) }
        layout = writer.finish()
    }

    /// Writes the next tensor of the file; a spec with scales is two.
    package mutating func write(_ bytes: UnsafeRawBufferPointer, to sink: some ByteSink) throws(FormatError) {
        let place = layout.tensors[written]
        precondition(bytes.count == place.count, "a tensor does not fit its shape")
        layout.set(checksum: xxHash64(bytes), ofTensor: written)
        try sink.write(bytes, at: place.lowerBound)
        written += 1
    }

    /// Writes the header, once all tensors are there.
    package func finish(to sink: some ByteSink) throws(FormatError) {
        precondition(written == layout.tensors.count, "tensors are missing")
        try layout.header.withUnsafeBufferPointer { bytes throws(FormatError) in
            try sink.write(UnsafeRawBufferPointer(bytes), at: 0)
        }
    }
}

#if !hasFeature(Embedded)  // Bodies report progress to callers that may throw anything; boards write no models.
/// Where a native file is made: on disk, or in memory.
extension NativeModelWriter {
    /// Writes a file that appears under its name only when it is complete.
    /// - Parameter body: writes all tensors.
    package mutating func write(
        to path: String, _ body: (inout NativeModelWriter, AtomicFile) throws -> Void
    ) throws {
        let file = try AtomicFile(path: path)
        try body(&self, file)
        try finish(to: file)
        try file.setSize(size)
        try file.commit()
    }

    /// The same in memory.
    package mutating func image(
        named path: String, _ body: (inout NativeModelWriter, MemorySink) throws -> Void
    ) throws -> MappedFile {
        let image = try MappedFile(memoryNamed: path, size: size)
        let sink = MemorySink(memory: image.writable)
        try body(&self, sink)
        try finish(to: sink)
        image.seal()
        return image
    }
}
#endif
