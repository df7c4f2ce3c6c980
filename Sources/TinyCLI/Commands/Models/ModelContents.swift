// SPDX-License-Identifier: Apache-2.0

import TinyConversion
import TinyFormats
import TinySupport

/// The tensors and the metadata of a model file of any format, whether it can be run or not.
struct ModelContents {
    struct Tensor {
        let name: String
        let type: String
        /// Outermost dimension first.
        let shape: [Int]
        /// nil for unknown types.
        let bytes: Int?
    }

    struct Entry {
        let key: String
        let type: String
        let value: JSON
        /// As one line of text.
        let text: String
    }

    let format: String
    let fileSize: Int
    let tensors: [Tensor]
    let metadata: [Entry]
    /// general.architecture or nil.
    var architecture: String? { metadata.first { $0.key == "general.architecture" }?.value.string }

    /// - Throws: `FormatError`.
    init(path: String) throws(FormatError) {
        if isDirectory(path) || path.hasSuffix(".safetensors") {
            self.init(try SafetensorsModel(path: path))
        } else {
            self.init(try GGUF(path: path))
        }
    }

    private init(_ model: SafetensorsModel) {
        format = "safetensors, \(model.shards.count) file\(model.shards.count == 1 ? "" : "s")"
        fileSize = model.shards.reduce(0) { $0 + $1.file.size }
        tensors = model.shards.flatMap { $0.tensors }.map {
            Tensor(name: $0.name, type: $0.typeName, shape: $0.shape, bytes: $0.range.count)
        }
        metadata = []
    }

    private init(_ gguf: GGUF) {
        // The parts of a split model, or this one if the others are not there.
        let files = (try? GGUFParts(gguf))?.files ?? [gguf]
        format =
            (gguf.isPowerInfer ? "PowerInfer " : "") + "GGUF version \(gguf.version)"
            + (files.count > 1 ? ", \(files.count) files" : "")
        fileSize = files.reduce(0) { $0 + $1.file.size }
        tensors = files.flatMap { $0.tensors }.map {
            Tensor(
                name: $0.name, type: $0.typeName, shape: $0.dimensions.reversed(),
                bytes: $0.format == nil ? nil : $0.range.count)
        }
        metadata = gguf.entries.map { Entry($0, gguf.file) }
    }

    /// Bytes of tensors by type, in descending order.
    var bytesByType: [(type: String, count: Int, bytes: Int)] {
        var sums: [String: (Int, Int)] = [:]
        for tensor in tensors {
            let (count, bytes) = sums[tensor.type] ?? (0, 0)
            sums[tensor.type] = (count + 1, bytes + (tensor.bytes ?? 0))
        }
        return sums.map { (type: $0.key, count: $0.value.0, bytes: $0.value.1) }
            .sorted { ($0.bytes, $1.type) > ($1.bytes, $0.type) }
    }

    /// Elements of all tensors; wraps on overflow if the header is damaged.
    var elementCount: Int {
        tensors.reduce(0) { sum, tensor in
            let count = tensor.shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
            return sum.addingReportingOverflow(count).partialValue
        }
    }
}

extension ModelContents.Entry {
    /// Invalid UTF-8 is repaired rather than refused: broken files are to be inspected, too.
    fileprivate init(_ entry: GGUFEntry, _ file: MappedFile) {
        key = entry.key
        if let element = entry.element {
            type = "\(element.type)[\(element.count)]"
            let preview = Self.preview(entry, file)
            let more = element.count > preview.count ? (preview.isEmpty ? "…" : ", …") : ""
            value = .array(preview)
            text = "[" + preview.map { escaped($0.text(depth: 0), limit: 60) }.joined(separator: ", ") + more + "]"
            return
        }
        type = "\(entry.type)"
        switch entry.type {
        case .string:
            let string = String(decoding: file.bytes[entry.range], as: UTF8.self)
            value = .string(string)
            text = "\"" + escaped(string, limit: 200) + "\""
        case .bool:
            let bool = (try? entry.bool(in: file)) ?? false
            value = .bool(bool)
            text = "\(bool)"
        case .float32, .float64:
            let number = (try? entry.double(in: file)) ?? .nan
            value = .double(number)
            text = entry.type == .float32 ? "\(Float(number))" : "\(number)"
        default:
            // Integers above Int.max have no meaning for any supported format.
            let number = try? entry.integer(in: file)
            value = number.map { .number($0) } ?? .null
            text = number.map { "\($0)" } ?? "too large"
        }
    }

    /// The first elements of an array.
    private static func preview(_ entry: GGUFEntry, _ file: MappedFile) -> [JSON] {
        let count = 6
        switch entry.element?.type {
        case .string:
            return ((try? entry.byteStrings(in: file)) ?? []).prefix(count).map {
                .string(String(decoding: $0, as: UTF8.self))
            }
        case .int32, .uint32:
            return ((try? entry.int32s(in: file)) ?? []).prefix(count).map { .integer(Int64($0)) }
        case .float32:
            return ((try? entry.floats(in: file)) ?? []).prefix(count).map { .double(Double($0)) }
        default: return []
        }
    }
}
