# Shapes for every op with a gradient: sizes of 1, odd sizes, broadcasts from both sides, ranks 1 to 4, no elements at all.
# A table of op -> cases. What is fixed are the corners; the rest is drawn, so that another seed tries other shapes.
import math

from draws import away, positive, probability

LEAST = 20  # cases of an op

# Without a gradient by definition: results that are no floats, or operands that are none; and what holds other nodes.
WITHOUT = {"and", "or", "not", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "argmax", "causal_mask", "constant", "iota",
           "call", "repeat"}
# The dialect's name of an op that the model file calls otherwise.
NAMES = {"reduce_sum": "sum", "reduce_mean": "mean", "reduce_max": "max", "reduce_min": "min"}
# Kernels of products and of what belongs to transformers exist in f32; all others are checked in f64, but a cast needs both.
F32 = {"cast", "linear", "matmul", "einsum", "embedding", "position_embedding", "rope", "attention", "mha", "cross_entropy"}
LOSSES = {"cross_entropy", "bce_with_logits", "mse", "l1", "huber", "kl_div"}


def below(limit):
    return lambda draw: draw.randrange(limit)


class Case:
    """Inputs x, y, z …: (shape, how elements are drawn); an integer input is drawn by `below`. Nodes read inputs by these
    names, each other by "@0", "@1" …, and without "in" the one before; the last one is what the case is about."""

    def __init__(self, inputs, *nodes):
        self.inputs, self.nodes = inputs, nodes

    def elements(self):
        """About as many as its inputs and parameters have."""
        count, width = sum(math.prod(0 if size == "Z" else size for size in shape) for shape, _ in self.inputs), (self.inputs[0][0] or [1])[-1]
        for node in self.nodes:
            count += {"mha": lambda: 4 * width * (width + 1), "linear": lambda: node["features"] * (width + 1), "parameter": lambda: math.prod(node["shape"]),
                      "embedding": lambda: node["rows"] * node["features"]}.get(node["op"], lambda: 0)()
        return count

    def __str__(self):
        return f"{[shape for shape, _ in self.inputs]} {self.nodes}"


def dims_of(draw, rank):
    shape = [draw.choice([1, 2, 3, 5]) for _ in range(rank)]
    return shape if math.prod(shape) <= 100 else dims_of(draw, rank)


def shapes(draw, ranks=(0, 1, 2, 3, 4), zero=True):
    """Shapes of one operand. "Z" is a dim that is 0."""
    fixed = [[], [1], [7], [33], [1, 1], [1, 9], [9, 1], [3, 5], [2, 17], [1, 1, 1], [2, 1, 3], [1, 4, 1], [2, 3, 4], [1, 1, 1, 1], [2, 1, 3, 1],
             [1, 2, 1, 5], [2, 3, 2, 3]] + ([["Z"], ["Z", 3], [2, "Z", 1]] if zero else [])
    chosen = [shape for shape in fixed if len(shape) in ranks]
    while len(chosen) < LEAST + 2:
        chosen.append(dims_of(draw, draw.choice(ranks)))
    return chosen


def narrowed(draw, shape):
    """Some axes 1, some leading ones missing; a dim stays, as only inputs can show it."""
    some = [1 if size != "Z" and draw.random() < 0.4 else size for size in shape]
    return some if "Z" in some else some[draw.randrange(len(shape) + 1):]


def pairs(draw):
    """Shapes of two operands that broadcast."""
    chosen = [([], [5]), ([5], []), ([1], [5]), ([5], [1]), ([3, 5], [5]), ([5], [3, 5]), ([3, 1], [3, 5]), ([3, 5], [3, 1]), ([3, 1], [1, 5]),
              ([1, 5], [3, 1]), ([1, 1], [4, 3]), ([2, 3, 4], [3, 1]), ([2, 1, 4], [3, 1]), ([1], [2, 1, 3, 1]), ([1, 3, 1, 5], [2, 1, 4, 1]),
              ([17], [17]), ([2, 3, 2, 2], [2, 3, 2, 2]), ([1, 1, 1, 1], [1]), (["Z", 3], [3]), ([3, 1], ["Z"])]
    while len(chosen) < LEAST + 5:
        shape = dims_of(draw, draw.randrange(1, 5))
        pair = [shape, narrowed(draw, shape)]
        draw.shuffle(pair)
        chosen.append(tuple(pair))
    return chosen


def along(draw, zero=True):
    """A shape and one of its axes, as a number that may count from the end. The axis has elements."""
    chosen = []
    for shape in shapes(draw, (1, 2, 3, 4), zero):
        axes = [axis for axis, size in enumerate(shape) if size != "Z"]
        if axes:
            axis = draw.choice(axes)
            chosen.append((shape, axis if draw.random() < 0.5 else axis - len(shape)))
    return chosen


def unary(draw, op, how, *attributes):
    return [Case([(shape, how)], {"op": op, "in": "x", **(attributes[i % len(attributes)] if attributes else {})}) for i, shape in enumerate(shapes(draw))]


def binary(draw, op, how, right=None):
    cases = [Case([(a, how), (b, right or how)], {"op": op, "in": ["x", "y"]}) for a, b in pairs(draw)]
    if op in ("swiglu", "geglu"):
        return cases
    return cases + [Case([([3, 5], how)], {"op": op, "in": ["x"], "value": 1.5})]


def nary(draw, op):
    third = [Case([([2, 3], away), ([3], away), ([2, 1], away)], {"op": op, "in": ["x", "y", "z"]}), Case([([4], away)], {"op": op, "in": ["x", "x", "x"]})]
    return binary(draw, op, away) + third


def gated(draw, op, *attributes):
    return [Case([(shape, away), (shape, away)], {"op": op, "in": ["x", "y"], **attributes[i % len(attributes)]}) for i, shape in enumerate(shapes(draw))]


def where(draw):
    cases = []
    for a, b in pairs(draw):
        condition = narrowed(draw, a if len(a) > len(b) else b)
        cases.append(Case([(a, away), (b, away), (condition, away)], {"op": "greater", "in": ["z"], "value": 0}, {"op": "where", "in": ["@0", "x", "y"]}))
    return cases + [Case([([3, 5], away), ([5], away)], {"op": "greater", "in": ["y"], "value": 0}, {"op": "where", "in": ["@0", "x"], "value_false": 2})]


def masked_fill(draw):
    return [Case([(shape, away), (narrowed(draw, shape), away)], {"op": "greater", "in": ["y"], "value": 0}, {"op": "masked_fill", "in": ["x", "@0"], "value": 3})
            for shape in shapes(draw)]


# ---- movement

def reshape(draw):
    cases = []
    for shape in shapes(draw, zero=False):
        sizes = [size for size in shape if size != 1] or [1]
        draw.shuffle(sizes)
        if draw.random() < 0.5:
            sizes.insert(draw.randrange(len(sizes) + 1), 1)
        if draw.random() < 0.5:
            sizes = [math.prod(sizes)] if draw.random() < 0.5 else sizes[:-1] + [-1]
        cases.append(Case([(shape, away)], {"op": "reshape", "in": "x", "shape": sizes}))
    return cases


def transpose(draw):
    cases = []
    for shape in shapes(draw, (1, 2, 3, 4)):
        perm = list(range(len(shape)))
        draw.shuffle(perm)
        cases.append(Case([(shape, away)], {"op": "transpose", "in": "x", "perm": perm}))
    return cases


def cut(draw, size):
    start = draw.randrange(size)
    return start, draw.randrange(start + 1, size + 1)


def slices(draw):
    cases = []
    for shape, axis in along(draw):
        start, end = cut(draw, shape[axis])
        step = draw.choice([1, 1, 2, 3])
        cases.append(Case([(shape, away)], {"op": "slice", "in": "x", "axis": axis, "start": start, "end": end, "step": step}))
    return cases


def split(draw):
    """All parts are used, each otherwise."""
    cases = []
    for shape, axis in along(draw):
        first = draw.randrange(0, shape[axis] + 1) if shape[axis] > 1 else 1
        sizes = [size for size in (first, shape[axis] - first) if size]
        if len(sizes) == 1:
            cases.append(Case([(shape, away)], {"op": "split", "in": "x", "axis": axis, "sizes": sizes, "out": ["@a"]}, {"op": "exp", "in": "@a"}))
        else:
            cases.append(Case([(shape, away)], {"op": "split", "in": "x", "axis": axis, "sizes": sizes, "out": ["@a", "@b"]}, {"op": "exp", "in": "@a"},
                              {"op": "concat", "in": ["@b", "@1"], "axis": axis}))
    return cases


def concat(draw):
    cases = []
    for shape, axis in along(draw):
        others = [[*shape] for _ in range(draw.randrange(1, 3))]
        for other in others:
            other[axis] = draw.randrange(1, 4)
        cases.append(Case([(each, away) for each in [shape, *others]], {"op": "concat", "in": list("xyz"[:1 + len(others)]), "axis": axis}))
    return cases


def select(draw):
    return [Case([(shape, away)], {"op": "select", "in": "x", "axis": axis, "index": draw.choice([-1, draw.randrange(shape[axis])])})
            for shape, axis in along(draw)]


def squeeze(draw):
    cases = []
    for shape in shapes(draw, (0, 1, 2, 3)):
        axis = draw.randrange(len(shape) + 1)
        cases.append(Case([(shape[:axis] + [1] + shape[axis:], away)], {"op": "squeeze", "in": "x", "axis": axis}))
    return cases


def unsqueeze(draw):
    return [Case([(shape, away)], {"op": "unsqueeze", "in": "x", "axis": draw.randrange(-len(shape) - 1, len(shape) + 1)}) for shape in shapes(draw, (0, 1, 2, 3))]


def expand(draw):
    return [Case([(narrowed(draw, shape), away)], {"op": "expand", "in": "x", "shape": shape}) for shape in shapes(draw, (1, 2, 3, 4))]


def flatten(draw):
    cases = []
    for shape in shapes(draw, (1, 2, 3, 4)):
        start = draw.randrange(len(shape))
        cases.append(Case([(shape, away)], {"op": "flatten", "in": "x", "start": start, "end": draw.choice([-1, draw.randrange(start, len(shape))])}))
    return cases


def gather(draw):
    cases = []
    for shape, axis in along(draw, zero=False):
        index = [1 if draw.random() < 0.3 else size for size in shape]
        index[axis] = draw.choice([1, 2, 5])
        cases.append(Case([(shape, away), (index, below(shape[axis]))], {"op": "gather", "in": ["x", "y"], "axis": axis}))
    return cases


# ---- rows

def reduction(draw, op, *attributes, empty=False):
    cases = []
    for i, shape in enumerate(shapes(draw, (1, 2, 3, 4))):
        axes = [axis for axis, size in enumerate(shape) if empty or size != "Z"]
        if len(axes) == 0:
            continue
        some = draw.sample(axes, draw.randrange(1, len(axes) + 1))
        node = {"op": op, "in": "x", "axis": some if len(some) > 1 or draw.random() < 0.5 else some[0] - len(shape), "keepdim": draw.random() < 0.5}
        if len(axes) == len(shape) and draw.random() < 0.3:
            del node["axis"]
        extra = attributes[i % len(attributes)] if attributes else {}
        reduced = some if "axis" in node else axes
        if extra.get("unbiased") and math.prod(shape[axis] for axis in reduced) < 2:
            extra = {}  # no variance of one element
        cases.append(Case([(shape, away)], {**node, **extra}))
    return cases


def row(draw, op, *attributes, least=1):
    cases = []
    for i, (shape, axis) in enumerate(along(draw)):
        extra = attributes[i % len(attributes)] if attributes else {}
        if shape[axis] < 2 and extra.get("unbiased"):
            extra = {}
        cases.append(Case([(shape, away)], {"op": op, "in": "x", "axis": axis, **extra}))
    return cases


def rms_norm(draw):
    return [Case([(shape, away)], {"op": "rms_norm", "in": "x", "eps": 0.01}) for shape in shapes(draw, (1, 2, 3, 4)) if shape[-1] != "Z"]


def pool(draw, op):
    cases = []
    for shape in shapes(draw, (3,), zero=False) + [["Z", 3, 2]]:
        node = {"op": op, "in": "x"}
        if draw.random() < 0.5:
            cases.append(Case([(shape, away)], node))
        else:
            cases.append(Case([(shape, away), (shape[:2], away)], {"op": "greater", "in": ["y"], "value": 0}, {**node, "in": ["x", "@0"], "axis": draw.randrange(2)}))
    return cases


# ---- products and transformers

def linear(draw):
    activations = [{}, {"activation": "relu"}, {"activation": "gelu"}, {"activation": "gelu_tanh"}, {"activation": "silu"}, {"activation": "tanh"},
                   {"activation": "sigmoid"}, {"bias": False}]
    return [Case([(shape, away)], {"op": "linear", "in": "x", "features": draw.choice([1, 3, 16, 17]), **activations[i % 8]})
            for i, shape in enumerate(shapes(draw, (1, 2, 3, 4))) if shape[-1] != "Z"]


def matmul(draw):
    cases = [Case([([m, k], away), ([k, n], away)], {"op": "matmul", "in": ["x", "y"]}) for m, k, n in [(1, 1, 1), (1, 7, 1), (5, 1, 3), (33, 2, 1)]]
    for a, b in 2 * [([], []), ([2], []), ([], [2]), ([1], [3]), ([3], [1]), ([2], [2]), ([2, 1], [3]), ([1], [2, 3]), ([1, 1], [1, 1]), ([2, 3], [2, 1])]:
        m, k, n = draw.choice([1, 2, 5, 17]), draw.choice([1, 3, 8]), draw.choice([1, 4, 9])
        ta, tb = draw.random() < 0.4, draw.random() < 0.4
        cases.append(Case([(a + ([k, m] if ta else [m, k]), away), (b + ([n, k] if tb else [k, n]), away)],
                          {"op": "matmul", "in": ["x", "y"], "transpose_a": ta, "transpose_b": tb}))
    return cases


def einsum(draw):
    cases = []
    equations = ["ij,jk->ik", "bqd,bkd->bqk", "bqhd,bkhd->bhqk", "i,j->ij", "bij,jk->bik", "ij,ij->i", "bhqk,bkhd->bqhd", "ij->ji", "ij->i", "ab,cb->ca"]
    for equation in equations * 3:
        sizes = {}
        for letter in equation:
            sizes[letter] = draw.choice([1, 2, 3, 5])
        operands = equation.split("->")[0].split(",")
        cases.append(Case([([sizes[letter] for letter in operand], away) for operand in operands],
                          {"op": "einsum", "in": list("xy"[:len(operands)]), "equation": equation}))
    return cases


def parameter(draw):
    return [Case([(shape, away)], {"op": "parameter", "shape": shape}, {"op": "mul", "in": ["x", "@0"]}) for shape in shapes(draw, (1, 2, 3, 4), zero=False)]


def embedding(draw):
    cases = []
    for i, ids in enumerate(shapes(draw, (1, 2, 3))):
        rows, padding = draw.choice([1, 2, 5, 9]), {"padding_idx": 0} if i % 3 == 0 else {}
        cases.append(Case([(ids, below(rows))], {"op": "embedding", "in": "x", "rows": rows, "features": draw.choice([1, 3, 16]), **padding}))
    return cases


def position_embedding(draw):
    cases = []
    for shape in shapes(draw, (2, 3), zero=False):
        offset = draw.choice([0, 2])
        cases.append(Case([(shape, away)], {"op": "position_embedding", "in": "x", "kind": "learned", "rows": shape[1] + offset + draw.randrange(3),
                                            "features": draw.choice([1, 4, 7]), "offset": offset}))
    return cases


def rope(draw):
    cases = []
    for _ in range(LEAST + 2):
        heads, pairs_of_head = draw.choice([1, 2, 3]), draw.choice([1, 2, 4])
        more = {"interleaved": True} if draw.random() < 0.5 else {}
        if draw.random() < 0.4 and pairs_of_head > 1:
            more["rotary_dim"] = pairs_of_head
            more["rotary_dim"] += more["rotary_dim"] % 2
        cases.append(Case([([draw.choice([1, 2]), draw.choice([1, 3, 6]), heads * 2 * pairs_of_head], away)],
                          {"op": "rope", "in": "x", "heads": heads, "offset": draw.choice([0, 3]), **more}))
    return cases


def attention(draw):
    cases = []
    for i in range(LEAST + 10):
        batch, queries, keys = draw.choice([1, 2]), draw.choice([1, 2, 5, 9]), draw.choice([1, 3, 8])
        groups, share, head, values = draw.choice([1, 2]), draw.choice([1, 1, 2]), draw.choice([1, 4, 8]), draw.choice([2, 8])
        node = {"op": "attention", "in": ["x", "y", "z"], "heads": groups * share, "kv_heads": groups}
        if i % 3 == 0:
            node["causal"], keys = True, queries
            node.update([{}, {"window": 2}][i % 2])
        node.update([{}, {"softcap": 3}, {"scale": 0.3}, {}][i % 4])
        node.update([{}, {"dropout": 0.3}][i // 4 % 2])
        inputs = [([batch, queries, groups * share * head], away), ([batch, keys, groups * head], away), ([batch, keys, groups * values], away)]
        extras = []
        if i % 5 == 1:
            inputs.append(([draw.choice([1, batch]), draw.choice([1, groups * share]), queries, keys], away))
            node["in"] = {"q": "x", "k": "y", "v": "z", "bias": "u"}
        elif i % 5 == 2:
            inputs.append(([batch, keys], away))
            extras = [{"op": "greater", "in": ["u"], "value": 0}]
            node["in"] = {"q": "x", "k": "y", "v": "z", "key_mask": "@0"}
        elif i % 5 == 3:
            inputs.append(([queries, keys], away))
            extras = [{"op": "greater", "in": ["u"], "value": -1}]
            node["in"] = {"q": "x", "k": "y", "v": "z", "mask": "@0"}
        cases.append(Case(inputs, *extras, node))
    return cases


def mha(draw):
    cases = []
    for i in range(LEAST):
        heads, head, batch, queries, keys = draw.choice([1, 2, 3]), draw.choice([1, 2, 3]), draw.choice([1, 2]), draw.choice([1, 2, 5]), draw.choice([1, 3])
        width = heads * head
        node = {"op": "mha", "in": "x", "heads": heads, "bias": i % 4 != 3, "dropout": [0, 0.4][i // 2 % 2]}
        if i % 2:
            cases.append(Case([([batch, queries, width], away)], {**node, "causal": i % 3 == 0}))
        else:
            cases.append(Case([([batch, queries, width], away), ([batch, keys, width], away)], {**node, "in": {"q": "x", "k": "y", "v": "y"}}))
    return cases


# ---- losses

def loss(draw, op, x, t, *attributes):
    return [Case([(shape, x), (shape, t)], {"op": op, "in": ["x", "y"], "reduction": draw.choice(["mean", "sum", "none"]), **attributes[i % len(attributes)]})
            for i, shape in enumerate(shapes(draw, (1, 2, 3, 4), zero=False))]


def cross_entropy(draw):
    cases = []
    for i, shape in enumerate(shapes(draw, (1, 2, 3, 4), zero=False)):
        classes = shape[-1]
        extra = [{}, {"label_smoothing": 0.2}, {"ignore_index": 0}, {"class_weights": [0.5 + k for k in range(classes)]}][i % 4]
        cases.append(Case([(shape, away), (shape[:-1], below(classes))],
                          {"op": "cross_entropy", "in": ["x", "y"], "reduction": draw.choice(["mean", "sum", "none"]), **extra}))
    return cases


def table(draw):
    """op -> cases; `draw`: a random.Random."""
    cases = {op: unary(draw, op, away) for op in ("abs", "cos", "erf", "exp", "neg", "relu", "sigmoid", "silu", "sin", "softplus", "tanh")}
    cases.update({op: unary(draw, op, positive) for op in ("log", "sqrt", "rsqrt")})
    cases["gelu"] = unary(draw, "gelu", away, {}, {"approximate": "tanh"})
    cases["elu"] = unary(draw, "elu", away, {}, {"alpha": 0.7})
    cases["leaky_relu"] = unary(draw, "leaky_relu", away, {}, {"slope": 0.3})
    cases["clamp"] = unary(draw, "clamp", away, {"min": -2, "max": 1.9}, {"min": 0}, {"max": 0}, {"min": -0.1, "max": 0.1})
    cases["dropout"] = unary(draw, "dropout", away, {"p": 0.3})
    cases["cast"] = [Case([(shape, away)], {"op": "cast", "in": "x", "dtype": "f64"}, {"op": "cast", "dtype": "f32"}) for shape in shapes(draw)]
    cases.update({op: nary(draw, op) for op in ("add", "mul")})
    cases.update({op: binary(draw, op, away) for op in ("sub", "maximum", "minimum")})
    cases.update({op: binary(draw, op, positive) for op in ("div", "pow")})
    cases["swiglu"] = gated(draw, "swiglu", {})
    cases["geglu"] = gated(draw, "geglu", {}, {"approximate": "tanh"})
    cases.update({"where": where(draw), "masked_fill": masked_fill(draw)})
    cases.update({"reshape": reshape(draw), "transpose": transpose(draw), "slice": slices(draw), "split": split(draw), "concat": concat(draw),
                  "select": select(draw), "squeeze": squeeze(draw), "unsqueeze": unsqueeze(draw), "expand": expand(draw), "flatten": flatten(draw),
                  "gather": gather(draw)})
    cases.update({op: reduction(draw, op, empty=op == "sum") for op in ("sum", "mean", "max", "min")})
    cases["var"] = reduction(draw, "var", {}, {"unbiased": True})
    cases.update({"softmax": row(draw, "softmax"), "log_softmax": row(draw, "log_softmax"), "l2_normalize": row(draw, "l2_normalize", {}, {"eps": 50})})
    cases["layer_norm"] = row(draw, "layer_norm", {"eps": 0.1}, {"weight": False, "bias": False, "eps": 0.1}, {"unbiased": True, "eps": 0.1},
                              {"eps_outside": True, "eps": 0.1}, {"bias": False, "eps": 0.1})
    cases["rms_norm"] = rms_norm(draw)
    cases.update({"mean_pool": pool(draw, "mean_pool"), "max_pool": pool(draw, "max_pool")})
    cases.update({"linear": linear(draw), "matmul": matmul(draw), "einsum": einsum(draw), "parameter": parameter(draw), "embedding": embedding(draw),
                  "position_embedding": position_embedding(draw), "rope": rope(draw), "attention": attention(draw), "mha": mha(draw)})
    cases["mse"] = loss(draw, "mse", away, away, {})
    cases["l1"] = loss(draw, "l1", away, away, {})
    cases["huber"] = loss(draw, "huber", away, away, {}, {"delta": 0.3})
    cases["bce_with_logits"] = loss(draw, "bce_with_logits", away, probability, {}, {"pos_weight": 3})
    cases["kl_div"] = loss(draw, "kl_div", away, probability, {}, {"reduction": "batchmean"})
    cases["cross_entropy"] = cross_entropy(draw)
    return cases
