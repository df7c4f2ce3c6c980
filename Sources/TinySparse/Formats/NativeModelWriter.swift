// SPDX-License-Identifier: Apache-2.0

import Quant
import TinySupport

/// Writes a native file: lays it out, takes the tensors in the order of the schema, adds their checksums, and writes the
/// header last, so that a file cut short never looks whole.
package struct NativeModelWriter<Sink: ByteSink> {
    /// What to write, in this order: the bytes of each spec's `tensors`.
    package let specs: [TensorSpec]
    private let sink: Sink
    private var layout: GGUFLayout
    private var written = 0

    /// Gives the sink its size. Nothing is written yet.
    /// - Parameter metadata: adds what the file says besides the configuration, the vocabulary for instance.
    /// - Throws: `FormatError` of the sink or of `metadata`.
    package init(
        _ config: ModelConfig, into sink: Sink, metadata: (inout GGUFWriter) throws(FormatError) -> Void
    ) throws(FormatError) {
        specs = config.tensorSpecs
        var writer = GGUFWriter(alignment: Matrix.alignment)
        config.write(to: &writer)
        try metadata(&writer)
        let tensors = specs.flatMap { $0.tensors }
        writer.addChecksums(NativeModelFile.checksumsKey, count: tensors.count)
        for tensor in tensors { writer.addTensor(tensor.name, tensor.format, dimensions: tensor.dimensions) }
        layout = writer.finish()
        self.sink = sink
        try sink.setSize(layout.size)
    }

    /// Writes the next tensor of the file.
    /// - Throws: `FormatError` of the sink.
    package mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
        let place = layout.tensors[written]
        precondition(bytes.count == place.count, "a tensor does not fit its shape")
        layout.set(checksum: xxHash64(bytes), ofTensor: written)
        try sink.write(bytes, at: place.lowerBound)
        written += 1
    }

    /// Writes the header, once all tensors are written.
    /// - Throws: `FormatError` of the sink.
    package func finish() throws(FormatError) {
        precondition(written == layout.tensors.count, "tensors are missing")
        try layout.header.withUnsafeBufferPointer { header throws(FormatError) in
            try sink.write(UnsafeRawBufferPointer(header), at: 0)
        }
    }
}
