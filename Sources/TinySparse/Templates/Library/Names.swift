// SPDX-License-Identifier: Apache-2.0

/// The filters of Jinja 3.1.
enum Filter: String {
    case abs, attr, batch, capitalize, center, `default`, dictsort, escape, filesizeformat, first, float, forceescape
    case format, groupby, indent, int, items, join, last, length, list, lower, map, max, min, pprint, random, reject
    case rejectattr, replace, reverse, round, safe, select, selectattr, slice, sort, string, striptags, sum, title
    case tojson, trim, truncate, unique, upper, urlencode, urlize, wordcount, wordwrap, xmlattr

    /// - Parameter name: the name in a template, where some filters have a second one.
    init?(name: String) {
        switch name {
        case "d": self = .default
        case "e": self = .escape
        case "count": self = .length
        default: self.init(rawValue: name)
        }
    }
}

/// The tests of Jinja 3.1.
enum ValueTest: String {
    case boolean, callable, defined, divisibleby, escaped, even, `false`, filter, float, integer, iterable, lower
    case mapping, none, number, odd, sameas, sequence, string, test, `true`, undefined, upper
    case isIn = "in", equal = "eq", notEqual = "ne", greater = "gt", atLeast = "ge", less = "lt", atMost = "le"

    /// - Parameter name: the name in a template, where comparisons have more than one.
    init?(name: String) {
        switch name {
        case "==", "equalto": self = .equal
        case "!=": self = .notEqual
        case ">", "greaterthan": self = .greater
        case ">=": self = .atLeast
        case "<", "lessthan": self = .less
        case "<=": self = .atMost
        default: self.init(rawValue: name)
        }
    }
}

/// The functions of Jinja and those that transformers adds.
package enum GlobalFunction: String, CaseIterable {
    case range, dict, namespace, cycler, joiner, lipsum
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
}
