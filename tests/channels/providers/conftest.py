from tests.channels.providers.contract import generate_cases


def pytest_generate_tests(metafunc):
    """Captured shapes: one test for each case of the class's fixtures folder."""
    generate_cases(metafunc)
