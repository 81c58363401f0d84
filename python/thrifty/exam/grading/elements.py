"""The chemical elements, and compounds that everyday names stand for (IUPAC names and symbols)."""

__all__ = ["COMPOUNDS", "ELEMENTS"]

_TABLE = """
H hydrogen He helium Li lithium Be beryllium B boron C carbon N nitrogen O oxygen F fluorine Ne neon Na sodium Mg
magnesium Al aluminum Si silicon P phosphorus S sulfur Cl chlorine Ar argon K potassium Ca calcium Sc scandium Ti
titanium V vanadium Cr chromium Mn manganese Fe iron Co cobalt Ni nickel Cu copper Zn zinc Ga gallium Ge germanium As
arsenic Se selenium Br bromine Kr krypton Rb rubidium Sr strontium Y yttrium Zr zirconium Nb niobium Mo molybdenum Tc
technetium Ru ruthenium Rh rhodium Pd palladium Ag silver Cd cadmium In indium Sn tin Sb antimony Te tellurium I
iodine Xe xenon Cs cesium Ba barium La lanthanum Ce cerium Pr praseodymium Nd neodymium Pm promethium Sm samarium Eu
europium Gd gadolinium Tb terbium Dy dysprosium Ho holmium Er erbium Tm thulium Yb ytterbium Lu lutetium Hf hafnium Ta
tantalum W tungsten Re rhenium Os osmium Ir iridium Pt platinum Au gold Hg mercury Tl thallium Pb lead Bi bismuth Po
polonium At astatine Rn radon Fr francium Ra radium Ac actinium Th thorium Pa protactinium U uranium Np neptunium Pu
plutonium Am americium Cm curium Bk berkelium Cf californium Es einsteinium Fm fermium Md mendelevium No nobelium Lr
lawrencium Rf rutherfordium Db dubnium Sg seaborgium Bh bohrium Hs hassium Mt meitnerium Ds darmstadtium Rg
roentgenium Cn copernicium Nh nihonium Fl flerovium Mc moscovium Lv livermorium Ts tennessine Og oganesson
""".split()
#: Names by symbol.
ELEMENTS = dict(zip(_TABLE[::2], _TABLE[1::2], strict=True))

#: Formulas by name.
COMPOUNDS = {
    "water": "H2O", "heavy water": "D2O", "hydrogen peroxide": "H2O2", "carbon dioxide": "CO2", "carbon monoxide": "CO",
    "methane": "CH4", "ammonia": "NH3", "ozone": "O3", "sodium chloride": "NaCl", "table salt": "NaCl",
    "hydrochloric acid": "HCl", "hydrogen chloride": "HCl", "sulfuric acid": "H2SO4", "sulphuric acid": "H2SO4",
    "nitric acid": "HNO3", "phosphoric acid": "H3PO4", "carbonic acid": "H2CO3", "sodium hydroxide": "NaOH",
    "potassium hydroxide": "KOH", "calcium carbonate": "CaCO3", "calcium oxide": "CaO", "calcium hydroxide": "Ca(OH)2",
    "sodium bicarbonate": "NaHCO3", "sodium carbonate": "Na2CO3", "glucose": "C6H12O6", "sulfur dioxide": "SO2",
    "sulfur trioxide": "SO3", "nitrogen dioxide": "NO2", "nitric oxide": "NO", "nitrous oxide": "N2O",
    "hydrogen sulfide": "H2S", "silicon dioxide": "SiO2", "aluminum oxide": "Al2O3", "magnesium oxide": "MgO",
    "hydrogen gas": "H2", "oxygen gas": "O2", "nitrogen gas": "N2", "chlorine gas": "Cl2",
    "potassium permanganate": "KMnO4",
    "silver nitrate": "AgNO3", "copper(ii) sulfate": "CuSO4", "benzene": "C6H6", "ethylene": "C2H4",
    "acetylene": "C2H2",
    "propane": "C3H8", "butane": "C4H10", "ethane": "C2H6", "hydrogen fluoride": "HF", "hydrogen cyanide": "HCN",
}  # fmt: skip
